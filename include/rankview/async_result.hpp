// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/dependency.hpp>
#include <rankview/detail/continuation.hpp>
#include <rankview/detail/misuse.hpp>
#include <rankview/detail/results.hpp>
#include <rankview/detail/timeout.hpp>
#include <rankview/errors.hpp>
#include <rankview/metadata.hpp>
#include <rankview/slice.hpp>
#include <rankview/task_data.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

/// Tag for AsyncResult::get and ::wait: end the waiting at the first failure.
struct FirstException {};
inline constexpr FirstException first_exception{};

/// Tag for AsyncResult::results, which always does what it says.
struct ReturnExceptions {};
inline constexpr ReturnExceptions return_exceptions{};

/// How one task ended: its value or its exception.
template <class T>
class Outcome {
 public:
  explicit Outcome(T value) : value_(std::move(value)) {}
  explicit Outcome(std::exception_ptr error) : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return error_ == nullptr; }
  explicit operator bool() const noexcept { return has_value(); }
  /// The value; throws what the task threw if there is none.
  [[nodiscard]] const T& value() const {
    if (error_) std::rethrow_exception(error_);
    return *value_;
  }
  [[nodiscard]] const T& operator*() const { return value(); }
  /// Null if there is a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 private:
  std::optional<T> value_;
  std::exception_ptr error_;
};

namespace detail {

// In which order the items of a call have ended, found out as it is asked.
class CompletionOrder {
 public:
  explicit CompletionOrder(Call& call) : feed_(subscribe(call)) {}

  // The one that ended as number `place`, which must be below the call's size. Waits for it.
  std::size_t item(Call& call, std::size_t place) {
    while (items_.size() <= place) items_.push_back(*next_ended(call, *feed_, items_.size()));
    return items_[place];
  }

 private:
  std::shared_ptr<CompletionFeed> feed_;
  std::vector<std::size_t> items_;
};

// Gets at the call behind a handle. Throws UsageError for an empty one.
struct CallOf {
  template <class T>
  static Call& of(const AsyncResult<T>& result) {
    return result.call();
  }
};

}  // namespace detail

/// The result, or results, of an asynchronous call. `T` is what get() returns: `R` for a call on one engine or by a load-balanced
/// `apply`, `std::vector<R>` for a call on several engines and for maps.
///
/// A cheap handle: copies share one result. When the last handle goes, results that have not arrived are dropped on arrival; the tasks
/// run all the same. A failure that nobody looked at is then reported on stderr.
///
/// Thread-safe: several threads may wait for and read the same result. Waiting makes progress itself; without
/// `MPI_THREAD_MULTIPLE` nothing else does.
template <class T>
class AsyncResult {
  using Shape = detail::Shape<T>;
  friend detail::Handle;

 public:
  /// What iteration yields: `R` for `T = std::vector<R>`, else `T` itself.
  using element_type = typename Shape::Element;
  using clock = std::chrono::steady_clock;

  class iterator;
  class Completions;

  /// An empty handle: everything but destruction, assignment and valid() is a usage error.
  AsyncResult() = default;
  explicit AsyncResult(const std::shared_ptr<detail::Call>& call) : state_(call) {}

  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }

  /// Waits and returns the value. Throws what the task threw (RemoteError and its like); with several tasks, CompositeError with all
  /// failures in result order. Can be called again, with the same outcome. The reference lives as long as a handle does.
  decltype(auto) get() const& {
    detail::wait(call(), {});
    return value();
  }
  /// The same, moving the value out if this is the last handle.
  T get() && {
    detail::wait(call(), {});
    return take();
  }
  /// The same, waiting at most for `timeout`: then TimeoutError, after which it can be asked again. `get(0s)` only looks.
  template <class Rep, class Period>
  decltype(auto) get(std::chrono::duration<Rep, Period> timeout) const& {
    if (!wait(timeout)) late(timeout);
    return value();
  }
  template <class Rep, class Period>
  T get(std::chrono::duration<Rep, Period> timeout) && {
    if (!wait(timeout)) late(timeout);
    return take();
  }
  /// The same, but throws the first failure as soon as it is known, alone and without waiting for the rest.
  decltype(auto) get(FirstException) const& {
    wait_or_throw({});
    return value();
  }
  T get(FirstException) && {
    wait_or_throw({});
    return take();
  }
  /// The same, waiting at most for `timeout`: then TimeoutError.
  template <class Rep, class Period>
  decltype(auto) get(FirstException, std::chrono::duration<Rep, Period> timeout) const& {
    if (!wait_or_throw(detail::deadline_after(timeout))) late(timeout);
    return value();
  }
  template <class Rep, class Period>
  T get(FirstException, std::chrono::duration<Rep, Period> timeout) && {
    if (!wait_or_throw(detail::deadline_after(timeout))) late(timeout);
    return take();
  }

  template <detail::Number N>
  detail::Refused get(N) const {
    detail::refuse_timeout<N>();
    return {};
  }
  template <detail::Number N>
  detail::Refused get(FirstException, N) const {
    detail::refuse_timeout<N>();
    return {};
  }

  /// Waits for the end, whatever it is.
  void wait() const { detail::wait(call(), {}); }
  /// Waits at most for `timeout`; whether it has ended.
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> timeout) const {
    return detail::wait(call(), detail::deadline_after(timeout));
  }
  /// Waits until a task has failed or all have ended, or at most for `timeout`: what is done by then, and what is pending.
  DoneAndPending wait(FirstException) const {
    detail::wait_first_error(call(), {});
    return detail::done_and_pending(*state_);
  }
  template <class Rep, class Period>
  DoneAndPending wait(FirstException, std::chrono::duration<Rep, Period> timeout) const {
    detail::wait_first_error(call(), detail::deadline_after(timeout));
    return detail::done_and_pending(*state_);
  }

  template <detail::Number N>
  bool wait(N) const {
    detail::refuse_timeout<N>();
    return false;
  }
  template <detail::Number N>
  DoneAndPending wait(FirstException, N) const {
    detail::refuse_timeout<N>();
    return {};
  }

  /// Whether all tasks have ended. Never blocks for long: it looks at what has arrived, and runs the continuations that are due.
  [[nodiscard]] bool ready() const { return detail::poll(call()); }

  /// Whether all ended well. Throws UsageError before the end.
  [[nodiscard]] bool successful() const {
    if (!ready()) throw UsageError("successful() before the result is ready: wait() first");
    detail::note_error_seen(*state_);
    return !detail::failed(*state_);
  }

  /// How many elements iteration yields: one for each item of a map and each engine of a direct apply, 1 for a single value. Where the
  /// value is a vector that one task, or engines together, have made, as gather() has it, its elements, which is known at the end only:
  /// then this waits.
  [[nodiscard]] std::size_t size() const { return Shape::await_count(call(), 0); }
  /// How many tasks have ended, out of as many as task_ids() gives: items of a map and of a map_reduce, engines of a direct apply and of
  /// what engines do together.
  [[nodiscard]] std::size_t progress() const {
    static_cast<void>(detail::poll(call()));
    return detail::ended_count(call());
  }

  /// In order, each as soon as it is there: dereferencing waits for that element only, and throws its error if it failed, after which
  /// the iterator can be moved on. With a single task whose result is a vector, its elements. Of a map with Flags::ordered false, in the
  /// order in which tasks end.
  [[nodiscard]] iterator begin() const { return iterator(*this, 0); }
  [[nodiscard]] iterator end() const { return iterator(*this, Shape::npos); }

  /// One element of those that iteration yields in order, waiting for it alone; a negative index counts from the end. Throws its error if
  /// it failed, std::out_of_range if there is none. The reference lives as long as a handle does.
  template <std::integral I>
  [[nodiscard]] typename Shape::Reference operator[](I index) const& {
    return Shape::await_element(call(), detail::place_of(static_cast<std::int64_t>(index), size()));
  }
  template <std::integral I>
  [[nodiscard]] element_type operator[](I index) && {
    return Shape::await_element(call(), detail::place_of(static_cast<std::int64_t>(index), size()));
  }
  /// Several of them, `result[rv::slice(1, 3)]`, waiting for these alone. Throws CompositeError with the failures among them.
  [[nodiscard]] std::vector<element_type> operator[](const slice& some) const {
    const std::vector<std::size_t> places = some.places(size());
    std::vector<element_type> values;
    std::vector<CompositeError::Failure> failures;
    for (const std::size_t place : places) {
      Shape::await(*state_, place);
      if (auto error = Shape::error(*state_, place)) {
        failures.push_back({place, std::move(error)});
      } else {
        values.push_back(Shape::element(*state_, place));
      }
    }
    if (!failures.empty()) throw CompositeError(std::move(failures), places.size());
    return values;
  }

  /// `(index, value)` of each task as it ends, in that order. Dereferencing throws the error of a task that failed; the iteration can go on
  /// past it.
  [[nodiscard]] Completions as_completed() const { return Completions(*this); }

  /// Waits; then values and exceptions side by side, in order.
  [[nodiscard]] std::vector<Outcome<element_type>> results(ReturnExceptions = {}) const {
    wait();
    detail::note_error_seen(*state_);
    std::vector<Outcome<element_type>> outcomes;
    const std::size_t count = Shape::count(*state_);
    outcomes.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (auto error = Shape::error(*state_, i)) {
        outcomes.emplace_back(std::move(error));
      } else {
        outcomes.emplace_back(Shape::element(*state_, i));
      }
    }
    return outcomes;
  }

  /// Gives the tasks up that have not ended. Those that wait on rank 0 end as TaskAborted at once, those that wait on an engine when their
  /// turn comes. A task that runs is told, see this_task::stop_requested(), and ends however it ends; so are the subtasks that it has
  /// submitted given up.
  void abort() const { detail::abort(call()); }

  /// Has `f` called on rank 0 when this has ended; gives its result. `f` takes the value, `const T&` (nothing for `T = void`), and is then
  /// not called if there is none: the error is that of the new result, too. Or it takes this result, `const AsyncResult<T>&`, and is called
  /// however it ended. A generic lambda gets the value. What `f` throws is the new result's error, as it is. abort() of the new result
  /// before `f` has begun gives `f` up, and not this.
  ///
  /// `f` is called once: here and now if this has ended already, else in whatever thread of rank 0 makes progress, a waiting client or,
  /// under `MPI_THREAD_MULTIPLE`, the background one. It may use the library, and wait for tasks, but holds up what is due behind it, so it
  /// should be short; a wait with a timeout that comes to run it returns when it is over. If it waits for another continuation, that one
  /// must not wait for it, nor may it wait for everything with Client::wait(). What has not been called when the client ends is called
  /// before the run is over, so it must refer to nothing of the client's by then; if the client failed, it is given up.
  ///
  /// Cost: a call on rank 0, no message. Thread-safe.
  template <class... None, class F = detail::callable_t<T, None...>>
  auto then(F f) const {
    using Node = detail::Then<T, F>;
    using U = typename Node::Result;
    static_assert(!detail::is_async_result<U>::value,
                  "rankview: a continuation that begins other tasks would give a result of a result; use co_await in an rv::Task");
    detail::Call& parent = call();
    const auto child = detail::make_call<detail::Local<U>>();
    const auto node = std::make_shared<Node>(*this, std::move(f), child);
    detail::begin_local(child, parent.controller);
    AsyncResult<U> result(child);
    detail::continue_with(parent, node);
    return result;
  }

  /// In result order.
  [[nodiscard]] std::vector<TaskId> task_ids() const {
    std::vector<TaskId> ids(detail::item_count(call()));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = {state_->id, i};
    return ids;
  }
  /// What is known of task `index` by now. Throws std::out_of_range.
  [[nodiscard]] Metadata metadata(std::size_t index = 0) const { return detail::metadata_of(call(), index); }
  /// Metadata of all tasks, in result order.
  [[nodiscard]] std::vector<Metadata> metadata_all() const {
    std::vector<Metadata> all;
    for (std::size_t i = 0; i < detail::item_count(call()); ++i) all.push_back(metadata(i));
    return all;
  }

  /// What task `index` has published by now; can be asked while it runs, and afterwards. Throws std::out_of_range.
  [[nodiscard]] TaskData data(std::size_t index = 0) const {
    detail::check_item(call(), index);
    return {state_, index};
  }

  /// From the submission to the last result, or to now.
  [[nodiscard]] Seconds elapsed() const { return detail::times_of(call()).elapsed; }
  /// From the submission to the last result. Throws UsageError before the end.
  [[nodiscard]] Seconds wall_time() const { return ended_times("wall_time()").wall; }
  /// The sum of the tasks' run times on the engines. Throws UsageError before the end.
  [[nodiscard]] Seconds serial_time() const { return ended_times("serial_time()").serial; }
  /// serial_time() / wall_time().
  [[nodiscard]] double speedup() const {
    const auto times = ended_times("speedup()");
    return times.wall.count() > 0 ? times.serial / times.wall : 0.0;
  }

  /// Waits, showing progress on stderr every `interval`: a bar on a terminal, plain lines otherwise. Does not throw for failed tasks.
  void wait_interactive(std::chrono::milliseconds interval = std::chrono::milliseconds(1000)) const {
    detail::wait_interactive(call(), interval);
  }

 private:
  friend detail::CallOf;

  detail::Call& call() const {
    if (!state_) throw UsageError("this AsyncResult is empty: it was default-constructed or moved from");
    return *state_;
  }
  decltype(auto) value() const {
    detail::rethrow(*state_);
    if constexpr (!std::is_void_v<T>) return Shape::value(*state_);
  }
  T take() {
    detail::rethrow(*state_);
    if constexpr (!std::is_void_v<T>) {
      if (state_.unique()) return Shape::take(*state_);
      if constexpr (std::is_copy_constructible_v<element_type>) {
        return T(Shape::value(*state_));
      } else {
        throw UsageError("a value that can only be moved leaves its AsyncResult by the last handle: other copies of this one exist");
      }
    }
  }
  // Throws the first failure. Whether all have ended by the deadline.
  bool wait_or_throw(const detail::Deadline& deadline) const {
    if (auto error = detail::wait_first_error(call(), deadline)) std::rethrow_exception(error);
    return detail::done(*state_);
  }
  [[noreturn]] void late(Seconds timeout) const { detail::throw_late(*state_, timeout); }
  detail::Times ended_times(const char* what) const {
    if (!ready()) detail::throw_not_ready(what);
    return detail::times_of(*state_);
  }

  detail::CallHandle state_;
};

/// Walks a result in order.
template <class T>
class AsyncResult<T>::iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = element_type;
  using difference_type = std::ptrdiff_t;
  using reference = typename Shape::Reference;
  using pointer = void;

  iterator() = default;
  iterator(const AsyncResult& result, std::size_t index) : result_(result), index_(index) {
    const detail::Call& call = result.call();
    if (call.multiple && !call.ordered && index != Shape::npos) order_ = std::make_shared<detail::CompletionOrder>(result.call());
  }

  reference operator*() const {
    detail::Call& call = result_.call();
    return Shape::await_element(call, order_ ? order_->item(call, index_) : index_);
  }
  iterator& operator++() {
    ++index_;
    return *this;
  }
  iterator operator++(int) {
    iterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const iterator& a, const iterator& b) { return a.place() == b.place(); }

 private:
  // An end iterator does not know where the end is before somebody asks.
  [[nodiscard]] std::size_t place() const {
    if (!result_.valid()) return Shape::npos;
    return index_ == Shape::npos || index_ >= Shape::await_count(result_.call(), index_) ? Shape::npos : index_;
  }

  AsyncResult result_;
  std::size_t index_ = 0;
  std::shared_ptr<detail::CompletionOrder> order_;  // null for item order
};

/// The range that as_completed() returns: read it once.
template <class T>
class AsyncResult<T>::Completions {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::pair<std::size_t, element_type>;
    using difference_type = std::ptrdiff_t;
    using reference = value_type&;
    using pointer = void;

    iterator() = default;
    explicit iterator(Completions* range) : range_(range) { advance(); }

    /// Lives until the iterator moves on.
    reference operator*() const {
      std::optional<value_type>& value = range_->value_;
      if (!value) value.emplace(*current_, Shape::task_value(*range_->result_.state_, *current_));
      return *value;
    }
    iterator& operator++() {
      advance();
      return *this;
    }
    void operator++(int) { advance(); }
    /// The task that the next dereference is about, also if it failed.
    [[nodiscard]] std::size_t index() const { return *current_; }
    friend bool operator==(const iterator& a, const iterator& b) { return a.current_.has_value() == b.current_.has_value(); }

   private:
    void advance() {
      range_->value_.reset();
      // One value, of one task or of many together, has elements and no order of arrival.
      if constexpr (!std::is_void_v<T>) {
        detail::Call& call = range_->result_.call();
        if (!call.multiple) {
          detail::wait(call, {});
          current_.reset();
          if (range_->read_ < Shape::count(call)) current_ = range_->read_++;
          return;
        }
      }
      current_ = detail::next_ended(range_->result_.call(), *range_->feed_, range_->read_);
      if (current_) ++range_->read_;
    }

    Completions* range_ = nullptr;
    std::optional<std::uint64_t> current_;
  };

  explicit Completions(const AsyncResult& result) : result_(result), feed_(detail::subscribe(result.call())) {}

  iterator begin() { return iterator(this); }
  iterator end() { return iterator(); }

 private:
  AsyncResult result_;
  std::shared_ptr<detail::CompletionFeed> feed_;
  std::uint64_t read_ = 0;
  std::optional<std::pair<std::size_t, element_type>> value_;
};

}  // namespace rankview
