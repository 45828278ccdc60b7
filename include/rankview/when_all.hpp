// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/async_result.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::inline abi_0_1 {

namespace detail {

template <class T>
using value_or_nothing_t = typename std::conditional_t<std::is_void_v<T>, std::type_identity<std::monostate>, std::type_identity<T>>::type;

// Added to several calls, runs when the last of them has ended.
template <class R, class Parts>
class WhenAll final : public Continuation {
 public:
  WhenAll(Parts parts, std::size_t count, std::shared_ptr<Local<R>> child)
      : parts_(std::move(parts)), left_(count), child_(std::move(child)) {}

  void run() noexcept override {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) run_local(*child_, [this] { return gather(parts_); });
  }

 private:
  template <class... T>
  static R gather(std::tuple<AsyncResult<T>...>& parts) {
    // The first error stands for all.
    std::apply([](const auto&... part) { (static_cast<void>(part.successful()), ...); }, parts);
    return std::apply([](auto&... part) { return R{taken(part)...}; }, parts);
  }
  template <class T>
  static R gather(std::vector<AsyncResult<T>>& parts) {
    std::vector<CompositeError::Failure> failures;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (auto error = error_of(CallOf::of(parts[i]))) failures.push_back({i, std::move(error)});
    }
    if (!failures.empty()) throw CompositeError(std::move(failures), parts.size());
    if constexpr (!std::is_void_v<R>) {
      R values;
      values.reserve(parts.size());
      for (auto& part : parts) values.push_back(std::move(part).get());
      return values;
    }
  }
  template <class T>
  static auto taken(AsyncResult<T>& part) {
    if constexpr (std::is_void_v<T>) {
      part.get();
      return std::monostate();
    } else {
      return std::move(part).get();
    }
  }

  Parts parts_;
  std::atomic<std::size_t> left_;
  std::shared_ptr<Local<R>> child_;
};

}  // namespace detail

/// One result of several, ready when all of them have ended, however they did: `AsyncResult<std::tuple<A, B, ...>>`, with std::monostate
/// for those without a value. The error, if any failed, is that of the first of them in argument order; the others count as seen.
///
/// Its abort() gives up the combination, not what it is made of. Cost: copies of the handles, and of the values, which are moved where
/// when_all() was given the last handle. Thread-safe.
template <class... T>
requires(sizeof...(T) > 0) [[nodiscard]] AsyncResult<std::tuple<detail::value_or_nothing_t<T>...>> when_all(AsyncResult<T>... results) {
  using R = std::tuple<detail::value_or_nothing_t<T>...>;
  using Parts = std::tuple<AsyncResult<T>...>;
  // They stay alive with what is made of them.
  const std::vector<detail::Call*> calls{&detail::CallOf::of(results)...};
  const auto child = detail::make_call<detail::Local<R>>();
  const auto node = std::make_shared<detail::WhenAll<R, Parts>>(Parts(std::move(results)...), calls.size(), child);
  detail::begin_local(child, calls.front()->controller);
  AsyncResult<R> combined(child);
  for (detail::Call* const call : calls) detail::continue_with(*call, node);
  return combined;
}

/// The same for any number of results of one type: `AsyncResult<std::vector<T>>`, or AsyncResult<void> for those without a value. The
/// error, if any failed, is a CompositeError with all of them. Of none it is ready at once.
template <class T>
[[nodiscard]] auto when_all(std::vector<AsyncResult<T>> results) {
  using R = typename std::conditional_t<std::is_void_v<T>, std::type_identity<void>, std::type_identity<std::vector<T>>>::type;
  using Parts = std::vector<AsyncResult<T>>;
  std::vector<detail::Call*> calls;
  for (const auto& result : results) calls.push_back(&detail::CallOf::of(result));
  const auto child = detail::make_call<detail::Local<R>>();
  const auto node = std::make_shared<detail::WhenAll<R, Parts>>(std::move(results), std::max<std::size_t>(1, calls.size()), child);
  detail::begin_local(child, calls.empty() ? detail::running_controller() : calls.front()->controller);
  AsyncResult<R> combined(child);
  for (detail::Call* const call : calls) detail::continue_with(*call, node);
  if (calls.empty()) node->run();
  return combined;
}

}  // namespace rankview
