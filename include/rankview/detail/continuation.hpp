// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/caught.hpp>
#include <rankview/detail/results.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

template <class T>
class AsyncResult;

namespace detail {

// The result of what rank 0 runs itself, of any type.
template <class R>
class Local final : public Slots<R> {
 public:
  void put(R value) { this->slot(0) = std::move(value); }
  void load(std::uint64_t, Reader&) override {}
  // The value may hold handles, which must not go under the controller's lock; it goes with the call.
  void discard() noexcept override {}
};
template <>
class Local<void> final : public Results<void> {};

// What a continuation gets of a result that it takes: its value, or it.
template <class F, class T>
inline constexpr bool takes_value = std::is_invocable_v<F&, const T&>;
template <class F>
inline constexpr bool takes_value<F, void> = std::is_invocable_v<F&>;

template <class F, class T>
decltype(auto) continue_from(F& f, const AsyncResult<T>& parent) {
  if constexpr (!takes_value<F, T>) {
    static_assert(
        std::is_invocable_v<F&, const AsyncResult<T>&>,
        "rankview: a continuation takes the value, `const T&` (nothing for a void result), or the result, `const AsyncResult<T>&`");
    return std::invoke(f, parent);
  } else if constexpr (std::is_void_v<T>) {
    parent.get();
    return std::invoke(f);
  } else {
    return std::invoke(f, parent.get());
  }
}
template <class F, class T>
using continued_t = std::remove_cvref_t<decltype(continue_from(std::declval<F&>(), std::declval<const AsyncResult<T>&>()))>;

// Runs `make` as the one item of a local call.
template <class R, class Make>
void run_local(Local<R>& call, Make&& make) noexcept {
  if (!enter_local(call)) return;
  const InLocal here;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<R>) {
      make();
    } else {
      call.put(make());
    }
  } catch (...) {
    error = caught();
  }
  end_local(call, std::move(error));
}

template <class T, class F>
class Then final : public Continuation {
 public:
  using Result = continued_t<F, T>;

  Then(AsyncResult<T> parent, F f, std::shared_ptr<Local<Result>> child)
      : parent_(std::move(parent)), f_(std::move(f)), child_(std::move(child)) {}

  void run() noexcept override {
    run_local(*child_, [this]() -> decltype(auto) { return continue_from(f_, parent_); });
  }

 private:
  AsyncResult<T> parent_;
  F f_;
  std::shared_ptr<Local<Result>> child_;
};

template <class T>
struct is_async_result : std::false_type {};
template <class T>
struct is_async_result<AsyncResult<T>> : std::true_type {};

}  // namespace detail
}  // namespace rankview
