// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/view.hpp>
#include <rankview/imap.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// imap: the part that all views share. A view says what call each element makes, as element_call(), and how many may be outstanding.
namespace rankview::inline abi_0_1::detail {

// As given: lvalues by reference, the others moved in.
template <class Range>
using kept_range_t = std::conditional_t<std::is_lvalue_reference_v<Range>, Range, std::remove_cvref_t<Range>>;

// Reads the elements of an imap; an lvalue range stays where it is.
template <class View, class F, class... Ranges>
class Elements final : public TaskSource {
  using M = MadeMap<false, F, Ranges...>;
  using Sig = typename M::Sig;

 public:
  using Result = typename M::Result;

  Elements(const View& view, F f, Ranges&&... ranges) : view_(view), f_(std::move(f)), ranges_(std::forward<Ranges>(ranges)...) {
    // What is wrong with the call is said where it is made.
    if (view_.size() == 0) throw_nobody();
    check_ranges(std::index_sequence_for<Ranges...>());
    static_cast<void>(view_.template element_call<Sig, Result>(f_, 0));
  }

  std::shared_ptr<Call> next(const std::shared_ptr<CompletionFeed>& feed, std::uint64_t index) override {
    return next(std::index_sequence_for<Ranges...>(), Sig(), feed, index);
  }

 private:
  template <std::size_t... I, class... W, class... P>
  std::shared_ptr<Call> next(std::index_sequence<I...>, Parameters<std::pair<W, P>...>, const std::shared_ptr<CompletionFeed>& feed,
                             std::uint64_t index) {
    if (at_) {
      (static_cast<void>(++std::get<I>(*at_)), ...);
    } else {
      at_.emplace(std::ranges::begin(range<I>())...);
    }
    if (!((std::get<I>(*at_) != std::ranges::end(range<I>())) && ...)) return nullptr;
    auto call = view_.template element_call<Sig, Result>(f_, index);
    if (feed) add_feed(*call, feed, index);
    Submission submission(call, std::nullopt);
    Writer& out = submission.begin_item(item_size<Sig>);
    (save_element<W, Source<Ranges>>(out, std::get<I>(*at_), Lifetime::result), ...);
    submission.end_item();
    submission.finish(true);
    return call;
  }
  template <std::size_t... I>
  void check_ranges(std::index_sequence<I...>) {
    static_cast<void>(length_of_map<Source<Ranges>...>(range<I>()...));
  }
  template <std::size_t I>
  auto& range() {
    return Source<std::tuple_element_t<I, std::tuple<Ranges...>>>::range(std::get<I>(ranges_));
  }

  View view_;
  F f_;
  std::tuple<Ranges...> ranges_;
  std::optional<std::tuple<std::ranges::iterator_t<typename Source<Ranges>::Ranged>...>> at_;
};

template <bool in_order, class View, class F, std::size_t... I, class Arguments>
auto make_imap_over(const View& view, F f, std::index_sequence<I...>, Arguments& arguments, std::uint64_t most) {
  static_assert(sizeof...(I) > 0, "rankview: imap wants a range before max_outstanding");
  if constexpr (sizeof...(I) == 0) {
    return Refused();
  } else if constexpr (!MadeMap<false, F, kept_range_t<std::tuple_element_t<I, Arguments>>...>::accepted) {
    return Refused();
  } else {
    using Reading = Elements<View, F, kept_range_t<std::tuple_element_t<I, Arguments>>...>;
    return ImapRange<typename Reading::Result, in_order>(
        std::make_unique<Reading>(view, std::move(f), std::get<I>(std::move(arguments))...), most);
  }
}

template <bool in_order, class View, class F, class... A>
auto make_imap(const View& view, F f, std::tuple<A...> arguments) {
  static_assert(sizeof...(A) > 0, "rankview: imap wants a range");
  if constexpr (sizeof...(A) == 0) {
    return Refused();
  } else {
    constexpr std::size_t last = sizeof...(A) - 1;
    if constexpr (std::integral<std::remove_cvref_t<std::tuple_element_t<last, std::tuple<A...>>>>) {
      const auto most = std::get<last>(arguments);
      if (std::cmp_less_equal(most, 0)) throw UsageError("max_outstanding must be at least 1, and is " + std::to_string(most));
      return make_imap_over<in_order>(view, std::move(f), std::make_index_sequence<last>(), arguments, static_cast<std::uint64_t>(most));
    } else {
      return make_imap_over<in_order>(view, std::move(f), std::make_index_sequence<last + 1>(), arguments, 4 * view.size());
    }
  }
}

}  // namespace rankview::detail
