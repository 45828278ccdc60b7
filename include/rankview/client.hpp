// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/looked_up.hpp>
#include <rankview/detail/timeout.hpp>
#include <rankview/direct_view.hpp>
#include <rankview/hub.hpp>
#include <rankview/load_balanced_view.hpp>
#include <rankview/lost_engine.hpp>
#include <rankview/targets.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

/// The engines, as rank 0 sees them, and the maker of views. Lives as long as the run that made it; a cheap handle, usable from several
/// threads at once (below `MPI_THREAD_SERIALIZED`, only the main thread makes progress).
class Client {
 public:
  class iterator;

  explicit Client(std::shared_ptr<detail::Controller> controller) : controller_(std::move(controller)) {}

  /// The live engines: 0, 1, 2, ...; engine k is rank k + 1, and with a single rank engine 0 is a thread of it.
  [[nodiscard]] std::vector<int> ids() const { return detail::live_engines(*controller_); }
  [[nodiscard]] std::size_t size() const { return ids().size(); }

  /// Iterates over the engines that live now: `for (rv::EngineView engine : rc)`.
  [[nodiscard]] iterator begin() const;
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  /// One engine; a negative number counts from the end of ids(). Throws std::out_of_range, listing the ids there are.
  [[nodiscard]] EngineView operator[](int engine) const { return {controller_, detail::resolve(*controller_, engine)}; }
  /// Every engine.
  [[nodiscard]] DirectView operator[](All) const { return DirectView(controller_); }
  /// A snapshot of the engines that the slice names now.
  [[nodiscard]] DirectView operator[](const slice& engines) const { return {controller_, engines.of(ids())}; }
  /// These engines in this order, `rc[{3, 1}]`. Throws std::out_of_range for one that does not exist, UsageError for one named twice.
  [[nodiscard]] DirectView operator[](std::initializer_list<int> engines) const { return direct_view(std::vector<int>(engines)); }
  [[nodiscard]] DirectView operator[](const std::vector<int>& engines) const { return direct_view(engines); }

  [[nodiscard]] DirectView direct_view(All = {}) const { return DirectView(controller_); }
  [[nodiscard]] DirectView direct_view(const slice& engines) const { return (*this)[engines]; }
  [[nodiscard]] DirectView direct_view(const std::vector<int>& engines) const {
    return {controller_, detail::resolve(*controller_, engines)};
  }

  [[nodiscard]] LoadBalancedView load_balanced_view(All = {}) const { return LoadBalancedView(controller_); }
  [[nodiscard]] LoadBalancedView load_balanced_view(const slice& engines) const { return {controller_, engines.of(ids())}; }
  [[nodiscard]] LoadBalancedView load_balanced_view(const std::vector<int>& engines) const {
    return {controller_, detail::resolve(*controller_, engines)};
  }

  /// A load-balanced view whose tasks each run on a team of `ranks_per_task` engines, with a communicator of those. Throws UsageError if
  /// there are not as many engines.
  [[nodiscard]] TeamView team_view(int ranks_per_task, All = {}) const { return {controller_, ids(), ranks_per_task}; }
  [[nodiscard]] TeamView team_view(int ranks_per_task, const slice& engines) const {
    return {controller_, engines.of(ids()), ranks_per_task};
  }
  [[nodiscard]] TeamView team_view(int ranks_per_task, const std::vector<int>& engines) const {
    return {controller_, detail::resolve(*controller_, engines), ranks_per_task};
  }

  /// Waits until everything that was submitted has ended, however it ended. In a continuation or a coroutine of rank 0, which would wait
  /// for itself: UsageError.
  void wait() const { detail::wait_all(*controller_, {}); }
  /// At most for `timeout`; whether everything has ended.
  template <class Rep, class Period>
  bool wait(std::chrono::duration<Rep, Period> timeout) const {
    return detail::wait_all(*controller_, detail::deadline_after(timeout));
  }
  template <detail::Number N>
  bool wait(N) const {
    detail::refuse_timeout<N>();
    return false;
  }
  /// Waits for these, however they end: results, task ids, lists of either, `rc.wait({a, b})`. What is not known any more has ended;
  /// UsageError for a task that never was.
  void wait(const Dependency& tasks) const { detail::wait_for(*controller_, tasks, {}); }
  template <class... T>
  requires(sizeof...(T) > 0) void wait(const AsyncResult<T>&... results) const { (results.wait(), ...); }
  /// At most for `timeout`; whether all of them have ended.
  template <class Rep, class Period>
  bool wait(const Dependency& tasks, std::chrono::duration<Rep, Period> timeout) const {
    return detail::wait_for(*controller_, tasks, detail::deadline_after(timeout));
  }
  template <detail::Number N>
  bool wait(const Dependency&, N) const {
    detail::refuse_timeout<N>();
    return false;
  }

  /// What every engine has to do and holds, as rank 0 knows it now. Asks no engine; cost: proportional to the number of engines.
  [[nodiscard]] QueueStatus queue_status() const { return detail::queue_status(*controller_, ids()); }

  /// Gives up everything that has not ended, as AsyncResult::abort() does.
  void abort() const { detail::abort_all(*controller_); }
  /// Gives up these: results, task ids, lists of either. What has ended already is left alone; UsageError for a task that never was. Of
  /// what engines do together, no part can be given up without the others.
  void abort(const Dependency& tasks) const { detail::abort(*controller_, tasks); }
  template <class... T>
  requires(sizeof...(T) > 0) void abort(const AsyncResult<T>&... results) const { (results.abort(), ...); }

  /// Has the run end before its work does. No task of a load-balanced or team view is handed out any more: those that wait, and those that
  /// engines have not begun, end with Draining, which get() throws; so do those that are submitted later, without being run. Those that run
  /// end as they would, and calls of direct views go on, so that what engines hold can be saved. If any task ended so, rv::run() returns 75
  /// where the client returns 0 or lets Draining through: "requeue me". Signals and the walltime do the same; see Options::drain_signals
  /// and Options::walltime. From any thread that may call MPI; once, and further calls do nothing.
  void drain() const { detail::drain(*controller_); }
  /// Whether the run drains.
  [[nodiscard]] bool draining() const { return detail::draining(*controller_); }

  /// The database of tasks, of this run and of others before it; see Options::hub. What follows down to purge_before() looks into it, waits
  /// for the disk, and throws UsageError where there is none; get_result() of a task that is still known does not need it. Runs are counted
  /// from 1 in each file: hub().run() is this one.
  [[nodiscard]] Hub hub() const { return Hub(controller_); }
  /// The calls of this run, or of an earlier one, in the order in which they were made.
  [[nodiscard]] std::vector<CallRecord> history() const { return detail::history(*controller_, 0); }
  [[nodiscard]] std::vector<CallRecord> history(std::int64_t run) const { return detail::history(*controller_, run); }
  /// Tasks that have ended, of all runs in the file: `rc.db_query({.run = 3, .status = rv::Status::failed})`. What that cannot ask, SQL
  /// can: hub().query().
  [[nodiscard]] std::vector<TaskRecord> db_query(const TaskQuery& query) const { return detail::find_tasks(*controller_, query); }

  /// The result of a task: of this run, which is waited for, while anybody has its AsyncResult; or of any run, if it was kept
  /// (`Options::keep = rv::Keep::all`). Throws what the task threw, of an earlier run as an Error with its text; TypeError if the result is
  /// no `T`; UsageError if it is not there.
  template <class T>
  [[nodiscard]] T get_result(const TaskId& task) const {
    return detail::get_result<T>(*controller_, {0, task});
  }
  template <class T>
  [[nodiscard]] T get_result(std::int64_t run, const TaskId& task) const {
    return detail::get_result<T>(*controller_, {run, task});
  }
  template <class T>
  [[nodiscard]] T get_result(const TaskRecord& task) const {
    return detail::get_result<T>(*controller_, {task.run, task.task});
  }

  /// Runs tasks again, of this run or of an earlier one of this program, whose arguments were kept (Options::keep): results in the order of
  /// `tasks`. They get new numbers, and are tasks of a load-balanced view with these flags; isolation, timeout, memory_limit, slots and
  /// label are as they were, where the flags do not say. A task of a direct view goes to the engine of that number; EngineError if that has
  /// died, std::out_of_range if there is none, unless `targets` names others. Variables that they refer to are those that their engine has
  /// now. In another build of the program the callable is found by its name, as in a checkpoint. Tasks of several calls, or engines, come
  /// together: when all of them have ended.
  ///
  /// Throws TypeError if a result is no `T`; UsageError if a task was not kept, or its callable is not to be found.
  template <class T>
  [[nodiscard]] AsyncResult<detail::many_t<T>> resubmit(const std::vector<TaskId>& tasks, const Flags& flags = {}) const {
    return detail::resubmit<T>(controller_, detail::of_run(0, tasks), flags);
  }
  template <class T>
  [[nodiscard]] AsyncResult<detail::many_t<T>> resubmit(std::int64_t run, const std::vector<TaskId>& tasks, const Flags& flags = {}) const {
    return detail::resubmit<T>(controller_, detail::of_run(run, tasks), flags);
  }
  /// What db_query() gave: `rc.resubmit<double>(rc.db_query({.run = 3, .status = rv::Status::failed}))`.
  template <class T>
  [[nodiscard]] AsyncResult<detail::many_t<T>> resubmit(const std::vector<TaskRecord>& tasks, const Flags& flags = {}) const {
    return detail::resubmit<T>(controller_, detail::of_records(tasks), flags);
  }

  /// Removes what the database has of these tasks, arguments and results included. Unknown ones are no error. The file does not shrink;
  /// what comes later takes the room.
  void purge(const std::vector<TaskId>& tasks) const { detail::purge(*controller_, detail::of_run(0, tasks)); }
  void purge(std::int64_t run, const std::vector<TaskId>& tasks) const { detail::purge(*controller_, detail::of_run(run, tasks)); }
  void purge(const std::vector<TaskRecord>& tasks) const { detail::purge(*controller_, detail::of_records(tasks)); }
  /// Removes an earlier run with all that belongs to it. UsageError for this one.
  void purge_run(std::int64_t run) const { detail::purge_run(*controller_, run); }
  /// Removes the runs that ended before that time, and those that began before it and have no end, since they were killed.
  void purge_before(Metadata::Time time) const { detail::purge_before(*controller_, time); }

  /// Engines that have died, or do not answer, in ascending order, each with what was noticed and what became of its tasks. They are in no
  /// view any more: a view of several engines goes on with the others, and one that has none left throws EngineError.
  [[nodiscard]] std::vector<LostEngine> lost() const { return detail::lost_engines(*controller_); }
  /// Has `f` called on rank 0 with each engine that is lost from here on, in whatever thread drives, as a continuation is: it may use the
  /// client, but not wait for what waits for it.
  void on_lost(std::function<void(const LostEngine&)> f) const { detail::on_lost(*controller_, std::move(f)); }

  /// Takes what has arrived, hands out what can be handed out and runs the continuations that are due, without waiting. Never needed under
  /// `MPI_THREAD_MULTIPLE`.
  void spin() const { detail::spin(*controller_); }

 private:
  std::shared_ptr<detail::Controller> controller_;
};

/// Walks the engines.
class Client::iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = EngineView;
  using difference_type = std::ptrdiff_t;
  using reference = EngineView;
  using pointer = void;

  iterator() = default;
  iterator(std::shared_ptr<detail::Controller> controller, std::vector<int> ids)
      : controller_(std::move(controller)), ids_(std::make_shared<const std::vector<int>>(std::move(ids))) {}

  EngineView operator*() const { return {controller_, (*ids_)[place_]}; }
  iterator& operator++() {
    ++place_;
    return *this;
  }
  iterator operator++(int) {
    iterator before = *this;
    ++place_;
    return before;
  }
  friend bool operator==(const iterator& a, const iterator& b) { return a.place_ == b.place_; }
  friend bool operator==(const iterator& at, std::default_sentinel_t) { return at.place_ == at.ids_->size(); }

 private:
  std::shared_ptr<detail::Controller> controller_;
  std::shared_ptr<const std::vector<int>> ids_;
  std::size_t place_ = 0;
};

inline Client::iterator Client::begin() const { return {controller_, ids()}; }

}  // namespace rankview
