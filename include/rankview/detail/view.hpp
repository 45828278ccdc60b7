// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/async_result.hpp>
#include <rankview/flags.hpp>
#include <rankview/repeat.hpp>

#include <array>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// What all views share: making calls.
namespace rankview::inline abi_0_1::detail {

// What an `apply` or `map` to several tasks gives.
template <class R>
using many_t = typename std::conditional_t<std::is_void_v<R>, std::type_identity<void>, std::type_identity<std::vector<R>>>::type;

template <class Sig, class R, class F>
std::shared_ptr<Results<R>> new_call(const std::shared_ptr<Controller>& controller, const F& callable, const Flags& flags) {
  check_open(*controller);
  auto call = make_call<Results<R>>();
  call->controller = controller;
  call->function = function_for<Sig>(callable);
  set_label(*call, flags.label);
  return call;
}

// As which its results are known in a checkpoint.
template <class Sig>
struct travelling_types;
template <class... W, class... P>
struct travelling_types<Parameters<std::pair<W, P>...>> {
  using type = Types<W...>;
  using Function = void(W...);
};
template <class Sig, class R, class F>
void keep_in_checkpoint(Call& call, const Flags& flags) {
  const std::type_info* arguments = nullptr;
  if constexpr (!parameters_of<F>::known) arguments = &typeid(typename travelling_types<Sig>::type);
  std::size_t bytes = 0;
  if constexpr (!std::is_void_v<R>) bytes = fixed_size<R>;
  set_checkpoint(call, flags, {typeid(F), arguments, typeid(typename travelling_types<Sig>::Function), typeid(R), bytes});
}

// An argument as it is when everything that it may depend on is there.
template <class A>
const A& ready(const A& argument) {
  return argument;
}
template <class T>
const T& ready(const AsyncResult<T>& result) {
  Call& call = *Handle::of(result);
  rethrow(call);
  return Shape<T>::value(call);
}

// Encodes an argument of a task.
template <class W, class A>
void save_ready(Writer& out, Origins* origins, const A& argument) {
  if constexpr (is_result<A>::value && std::is_same_v<W, FromResult<std::remove_cvref_t<decltype(ready(argument))>>>) {
    const auto& value = ready(argument);
    const Origin origin = origins != nullptr ? origins->of(*Handle::of(argument)) : Origin();
    if (origin.kind == Origin::Kind::value) {
      codec<W>::save(out, value);
    } else {
      codec<W>::save(out, origin);
    }
  } else {
    save_argument<W>(out, ready(argument), Lifetime::call);
  }
}
template <class... W, class... P, class... A>
void save_ready(Parameters<std::pair<W, P>...>, Writer& out, Origins* origins, const A&... arguments) {
  (save_ready<W>(out, origins, arguments), ...);
}

// The same for arguments some of which are results that may not be there yet: they are encoded when they are.
// Whether encoding such arguments runs no code of the user's.
template <class A>
inline constexpr bool is_plain_argument = is_plain<A>::value;
template <class T>
inline constexpr bool is_plain_argument<AsyncResult<T>> = is_plain<T>::value;
template <class W>
inline constexpr bool is_plain_wire = is_plain<W>::value;
template <class T>
inline constexpr bool is_plain_wire<FromResult<T>> = is_plain<T>::value;
template <class... A, class... W, class... P>
constexpr bool encodes_plainly(Parameters<std::pair<W, P>...>) {
  return (is_plain_argument<A> && ...) && (is_plain_wire<W> && ...);
}

template <class R, class Sig, class... A>
void submit_later(const std::shared_ptr<Results<R>>& call, bool unattended, A&&... arguments) {
  auto kept = std::make_shared<std::tuple<std::decay_t<A>...>>(std::forward<A>(arguments)...);
  Dependency results;
  std::apply(
      [&results](const auto&... each) {
        const auto add = [&results](const auto& argument) {
          if constexpr (is_result<std::remove_cvref_t<decltype(argument)>>::value) results.add(Dependency(argument));
        };
        (add(each), ...);
      },
      *kept);
  const auto encode = [kept](ArgumentBlock& block, Origins* origins) {
    begin_only_item(block, item_size<Sig>);
    std::apply([&block, origins](const auto&... each) { save_ready(Sig(), block.data, origins, each...); }, *kept);
    block.data.kept.push_back(kept);
    end_only_item(block);
  };
  defer(*call, results, encode, encodes_plainly<std::decay_t<A>...>(Sig()));
  submit_empty(call, unattended);
}

// One set of arguments, for one task or for one on each engine of `placements`.
template <class R, class Sig, class... A>
void submit_apply(const std::shared_ptr<Results<R>>& call, Lifetime lifetime, A&&... arguments) {
  call->keeps = is_block<R>::value && !call->multiple && call->spread != Spread::together;
  if constexpr (any_result<A...>) {
    submit_later<R, Sig>(call, lifetime == Lifetime::result, std::forward<A>(arguments)...);
  } else {
    Submission submission(call, std::nullopt);
    submission.reserve(item_size<Sig>);
    save_arguments(Sig(), submission.begin_item(item_size<Sig>), lifetime, std::forward<A>(arguments)...);
    submission.end_item();
    submission.finish(lifetime == Lifetime::result);
  }
}

template <class Range>
struct ElementOf {
  using type = void;
};
template <std::ranges::input_range Range>
struct ElementOf<Range> {
  using type = std::ranges::range_value_t<Range>;
};

// A range argument of map, and how its elements may be taken.
template <class Range>
struct Source {
  using Plain = unborrowed_t<Range>;
  static constexpr bool borrowed = !std::is_same_v<Plain, std::remove_cvref_t<Range>>;
  // Elements of a container that was moved in may be moved out of it.
  static constexpr bool consumed = !borrowed && !std::is_lvalue_reference_v<Range> && !std::ranges::view<Plain>;

  static auto& range(std::remove_reference_t<Range>& source) {
    if constexpr (borrowed) {
      return *source.value;
    } else {
      return source;
    }
  }
  using Ranged = std::remove_reference_t<decltype(range(std::declval<std::remove_reference_t<Range>&>()))>;
  static constexpr bool readable = std::ranges::input_range<Ranged>;
  using Element = typename ElementOf<Ranged>::type;

  static constexpr bool sized = std::ranges::sized_range<Ranged>;
  static constexpr bool endless = std::is_same_v<std::ranges::sentinel_t<Ranged>, std::unreachable_sentinel_t>;

  // Whether the elements outlive the iteration where the caller's range does.
  static constexpr bool stable = std::ranges::forward_range<Ranged> && std::is_lvalue_reference_v<std::ranges::range_reference_t<Ranged>>;
  static constexpr Lifetime element(Lifetime lifetime) {
    return stable && (borrowed || lifetime == Lifetime::call) ? Lifetime::call : Lifetime::result;
  }

  template <class Iterator>
  static decltype(auto) take(Iterator& at) {
    if constexpr (consumed && std::is_lvalue_reference_v<std::ranges::range_reference_t<Ranged>>) {
      return std::move(*at);
    } else {
      return *at;
    }
  }
};

template <bool ends, class F, class... Ranges>
consteval bool accepts_ranges() {
  if constexpr (!accepts_callable<F>()) {
    return false;
  } else if constexpr (sizeof...(Ranges) == 0) {
    static_assert(never<Ranges...>, "rankview: map wants a range, map(f, range), and calls f for each element; apply(f) calls it once");
  } else if constexpr (!(Source<Ranges>::readable && ...)) {
    static_assert(never<Ranges...>,
                  "rankview: map wants ranges: a container, a span or a view; rv::repeat(x) is one that gives each call the same x");
  } else if constexpr ((is_result<typename Source<Ranges>::Element>::value || ...)) {
    static_assert(never<Ranges...>, "rankview: the elements of a map's range cannot be results of other calls; apply() takes these");
  } else if constexpr (ends && (Source<Ranges>::endless && ...)) {
    static_assert(never<Ranges...>,
                  "rankview: a map over ranges without end (rv::repeat, an iota) would not end; give it one that does, or use imap()");
  } else {
    return true;
  }
  return false;
}

template <bool fit, class F, class... Ranges>
struct MadeMapIf {
  static constexpr bool accepted = false;
};
template <class F, class... Ranges>
struct MadeMapIf<true, F, Ranges...> : Made<F, typename Source<Ranges>::Element...> {};

// Of a map, what Made is of a call. `ends`: it has to.
template <bool ends, class F, class... Ranges>
struct MadeMap : MadeMapIf<accepts_ranges<ends, F, Ranges...>(), F, Ranges...> {};

// How many items ranges in step give, if that is known before they are read. Throws UsageError if those that know their sizes do not agree.
template <class... Sources>
std::optional<std::uint64_t> length_of_map(typename Sources::Ranged&... ranges) {
  constexpr std::size_t sized = (std::size_t{Sources::sized} + ...);
  if constexpr (sized == 0) {
    return std::nullopt;
  } else {
    std::array<std::uint64_t, sized> sizes{};
    std::size_t at = 0;
    const auto add = [&sizes, &at]<class Source>(std::type_identity<Source>, auto& range) {
      if constexpr (Source::sized) sizes[at++] = static_cast<std::uint64_t>(std::ranges::size(range));
    };
    (add(std::type_identity<Sources>(), ranges), ...);
    if constexpr (sized > 1) check_lengths(sizes);
    return ((Sources::sized || Sources::endless) && ...) ? std::optional(sizes.front()) : std::nullopt;
  }
}

template <class W, class Source, class Iterator>
void save_element(Writer& out, Iterator& at, Lifetime lifetime) {
  if constexpr (std::is_same_v<typename Source::Plain, Repeat<W>>) {
    // Attached parts of a constant lie in the one copy, whatever the caller's lifetime.
    const Writer::Mark mark = out.mark();
    codec<W>::save(out, *at);
    if (out.attached_since(mark)) out.kept.push_back(at.owner());
  } else if constexpr (std::is_same_v<std::remove_cvref_t<std::ranges::range_reference_t<typename Source::Ranged>>,
                                      typename Source::Element>) {
    save_argument<W>(out, Source::take(at), Source::element(lifetime));
  } else {
    // A proxy, as std::vector<bool> has.
    save_argument<W>(out, static_cast<typename Source::Element>(*at), Lifetime::result);
  }
}

template <class... Sources, class... W, class... P>
void submit_items(Parameters<std::pair<W, P>...>, const std::shared_ptr<Call>& call, Lifetime lifetime,
                  typename Sources::Ranged&... ranges) {
  constexpr std::size_t stride = item_size<Parameters<std::pair<W, P>...>>;
  Submission submission(call, length_of_map<Sources...>(ranges...));
  auto walk = [&](auto&&... at) {
    for (; ((at != std::ranges::end(ranges)) && ...); (static_cast<void>(++at), ...)) {
      Writer& out = submission.begin_item(stride);
      (save_element<W, Sources>(out, at, lifetime), ...);
      submission.end_item();
      if (lifetime == Lifetime::call) submission.throttle();
    }
  };
  walk(std::ranges::begin(ranges)...);
  submission.finish(lifetime == Lifetime::result);
}

// One task an item; several ranges go in step.
template <class Sig, class R, class... Ranges>
void submit_map(const std::shared_ptr<Results<R>>& call, Lifetime lifetime, Ranges&&... ranges) {
  call->multiple = true;
  submit_items<Source<Ranges>...>(Sig(), call, lifetime, Source<Ranges>::range(ranges)...);
}

// Waits for a call that has no handle and takes its value.
template <class T>
T take_result(Call& call) {
  wait(call, {});
  rethrow(call);
  if constexpr (!std::is_void_v<T>) return Shape<T>::take(call);
}

}  // namespace rankview::detail
