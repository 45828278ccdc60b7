// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/handle.hpp>
#include <rankview/task_id.hpp>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace rankview::inline abi_0_1 {

template <class T>
class AsyncResult;

namespace detail {

// What AsyncResult shows to the rest of the library.
struct Handle {
  template <class T>
  static const CallHandle& of(const AsyncResult<T>& result) {
    return result.state_;
  }
};

// A task that another is to wait for: one of a call, or all of them.
struct Prerequisite {
  static constexpr std::uint64_t every = static_cast<std::uint64_t>(-1);

  CallHandle call;  // none where only the number is known
  TaskId task{0, every};
};

}  // namespace detail

/// Tasks that other tasks are to run after, or where: `view.with({.after = {a, b}})`. Made of results, which stand for all of their tasks,
/// and of task ids.
///
/// With `all`, every one of them has to end as asked for, else any one of them is enough. `success` and `failure` say which ends count; a
/// task that was aborted, or could not run, has failed. What can no longer be met makes the waiting tasks fail at once, as
/// ImpossibleDependency. An empty dependency is met.
///
/// Results are kept as long as the dependency (and a view that has it) lives.
class Dependency {
 public:
  Dependency() = default;
  /// All tasks of a result.
  template <class T>
  Dependency(const AsyncResult<T>& result) : tasks_{{detail::Handle::of(result)}} {}
  /// One task. Its result must still have a handle, or not have ended, or it is not known any more: InvalidDependency.
  Dependency(const TaskId& task) : tasks_{{{}, task}} {}
  Dependency(const std::vector<TaskId>& tasks) {
    for (const TaskId& task : tasks) tasks_.push_back({{}, task});
  }
  template <class T>
  Dependency(const std::vector<AsyncResult<T>>& results) {
    for (const AsyncResult<T>& result : results) tasks_.push_back({detail::Handle::of(result)});
  }
  /// Several results and ids: `{a, b, id}`.
  Dependency(std::initializer_list<Dependency> several) {
    for (const Dependency& one : several) add(one);
  }

  bool all = true;       ///< every one of them, or any
  bool success = true;   ///< tasks that went well count
  bool failure = false;  ///< tasks that failed count

  /// These, too.
  template <class T>
  void add(const AsyncResult<T>& result) {
    if (tasks_.empty()) tasks_.reserve(4);
    tasks_.push_back({detail::Handle::of(result)});
  }
  void add(const Dependency& more);
  [[nodiscard]] bool empty() const noexcept { return tasks_.empty(); }
  [[nodiscard]] const std::vector<detail::Prerequisite>& tasks() const noexcept { return tasks_; }

 private:
  std::vector<detail::Prerequisite> tasks_;
};

/// Any one of them is enough: `.after = rv::any_of({a, b})`.
[[nodiscard]] inline Dependency any_of(Dependency dependency) {
  dependency.all = false;
  return dependency;
}
/// They have to fail: `.after = rv::failed(a)`.
[[nodiscard]] inline Dependency failed(Dependency dependency) {
  dependency.success = false;
  dependency.failure = true;
  return dependency;
}
/// They have to end, well or not: `.after = rv::ended({a, b})`.
[[nodiscard]] inline Dependency ended(Dependency dependency) {
  dependency.success = dependency.failure = true;
  return dependency;
}

}  // namespace rankview
