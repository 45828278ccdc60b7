// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/async_result.hpp>
#include <rankview/detail/caught.hpp>
#include <rankview/detail/timeout.hpp>

#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

namespace detail {
template <class T>
class TaskPromise;
}  // namespace detail

/// A coroutine on rank 0 that may `co_await` results of tasks, other Tasks and whatever else can be awaited. It begins at once, in the
/// caller, goes on as a continuation when what it waits for has ended (see AsyncResult::then() for where and when that is), and runs to
/// its end also if nobody keeps the Task.
///
/// What it returns or throws is its result. Copies share it. If the client fails while the coroutine waits, it is not resumed: its frame
/// is destroyed, and the result is TaskAborted. Made outside of a run: UsageError. Cost: a call on rank 0, and the frame.
///
/// As with every coroutine, what it takes by reference, or captures as a lambda, must live until it has ended.
template <class T = void>
class Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  /// Waits for the end; the value, or throws what the coroutine threw.
  decltype(auto) get() const& { return result_.get(); }
  T get() && { return std::move(result_).get(); }
  void wait() const { result_.wait(); }
  /// Waits at most for `timeout`; whether it has ended.
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> timeout) const {
    return result_.wait(timeout);
  }
  template <detail::Number N>
  bool wait(N) const {
    detail::refuse_timeout<N>();
    return false;
  }
  [[nodiscard]] bool ready() const { return result_.ready(); }
  /// The same as a result, for timeouts, then() and when_all(). Its abort() has no effect on a coroutine, which runs from the start.
  [[nodiscard]] const AsyncResult<T>& result() const noexcept { return result_; }

 private:
  friend promise_type;
  explicit Task(AsyncResult<T> result) : result_(std::move(result)) {}

  AsyncResult<T> result_;
};

namespace detail {

template <class A>
inline constexpr bool is_awaited_here = false;
template <class T>
inline constexpr bool is_awaited_here<AsyncResult<T>> = true;
template <class T>
inline constexpr bool is_awaited_here<Task<T>> = true;

class TaskPromiseBase {
 public:
  TaskPromiseBase(const TaskPromiseBase&) = delete;
  TaskPromiseBase& operator=(const TaskPromiseBase&) = delete;

  std::suspend_never initial_suspend() noexcept { return {}; }
  std::suspend_never final_suspend() noexcept {
    beginning_.reset();
    end_local(*call_, std::move(error_));
    return {};
  }
  void unhandled_exception() noexcept { error_ = detail::caught(); }
  // From here on it may be suspended, and whoever made it go on. What is ours says so itself, if that comes about.
  template <class A>
  A&& await_transform(A&& awaitable) noexcept {
    if constexpr (!is_awaited_here<std::remove_cvref_t<A>>) beginning_.reset();
    return std::forward<A>(awaitable);
  }
  // It is about to be suspended. Whether it had not been before.
  bool suspend() noexcept {
    const bool first = beginning_.has_value();
    beginning_.reset();
    return first;
  }
  // But then there was nothing to wait for.
  void go_on() noexcept { beginning_.emplace(); }

 protected:
  explicit TaskPromiseBase(std::shared_ptr<Call> call) : call_(std::move(call)) {
    begin_local(call_, running_controller());
    enter_local(*call_);
    beginning_.emplace();
  }
  ~TaskPromiseBase() = default;

  std::shared_ptr<Call> call_;

 private:
  std::exception_ptr error_;
  std::optional<InLocal> beginning_;  // until it first awaits something
};

template <class T>
class TaskPromise final : public TaskPromiseBase {
 public:
  TaskPromise() : TaskPromiseBase(make_call<Local<T>>()) {}
  Task<T> get_return_object() { return Task<T>(AsyncResult<T>(call_)); }
  template <class U = T>
  void return_value(U&& value) {
    static_cast<Local<T>&>(*call_).put(std::forward<U>(value));
  }
};
template <>
class TaskPromise<void> final : public TaskPromiseBase {
 public:
  TaskPromise() : TaskPromiseBase(make_call<Local<void>>()) {}
  Task<void> get_return_object() { return Task<void>(AsyncResult<void>(call_)); }
  void return_void() noexcept {}
};

// Resumes a coroutine. A Task's own, which nobody else can destroy, goes with this if it was not resumed.
class Resume final : public Continuation {
 public:
  Resume(std::coroutine_handle<> coroutine, bool owned) : coroutine_(coroutine), owned_(owned) {}
  ~Resume() override {
    if (coroutine_ && owned_) coroutine_.destroy();
  }
  void run() noexcept override {
    std::optional<InLocal> here;
    if (owned_) here.emplace();
    release().resume();
  }
  std::coroutine_handle<> release() noexcept { return std::exchange(coroutine_, nullptr); }

 private:
  std::coroutine_handle<> coroutine_;
  bool owned_;
};

// Waits in a coroutine. `Kept` is the result itself, whose value then leaves it, or a reference to one that the coroutine keeps.
template <class T, class Kept>
class Awaiter {
 public:
  explicit Awaiter(Kept&& result) : result_(std::forward<Kept>(result)) {}

  [[nodiscard]] bool await_ready() const { return done(CallOf::of(result_)); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> coroutine) {
    constexpr bool owned = std::is_base_of_v<TaskPromiseBase, Promise>;
    const auto resume = std::make_shared<Resume>(coroutine, owned);
    bool first = false;
    if constexpr (owned) first = coroutine.promise().suspend();
    // From here on the coroutine may go on in another thread, and this be gone.
    if (add_continuation(CallOf::of(result_), resume)) return true;
    resume->release();
    if constexpr (owned) {
      if (first) coroutine.promise().go_on();
    }
    return false;
  }
  decltype(auto) await_resume() { return std::forward<Kept>(result_).get(); }

 private:
  Kept result_;
};

}  // namespace detail

/// In a coroutine on rank 0: waits for the result as a continuation, without a thread. Gives what get() would: a reference to the value for
/// a result that is kept, else the value itself; throws what get() throws.
template <class T>
auto operator co_await(const AsyncResult<T>& result) {
  return detail::Awaiter<T, const AsyncResult<T>&>(result);
}
template <class T>
auto operator co_await(AsyncResult<T>&& result) {
  return detail::Awaiter<T, AsyncResult<T>>(std::move(result));
}
template <class T>
auto operator co_await(const Task<T>& task) {
  return detail::Awaiter<T, const AsyncResult<T>&>(task.result());
}
template <class T>
auto operator co_await(Task<T>&& task) {
  return detail::Awaiter<T, AsyncResult<T>>(AsyncResult<T>(task.result()));
}

}  // namespace rankview
