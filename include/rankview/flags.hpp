// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/dependency.hpp>
#include <rankview/detail/timeout.hpp>
#include <rankview/key_function.hpp>
#include <rankview/metadata.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

namespace detail {

struct NotGiven {};
inline constexpr NotGiven not_given{};

// What a flag may be given a braced list of.
template <class T>
struct Listed {
  struct type {
    type() = delete;
  };
};
template <>
struct Listed<Dependency> {
  using type = Dependency;
};
template <>
struct Listed<std::vector<int>> {
  using type = int;
};

}  // namespace detail

/// One flag: its value, and whether it was given. Is given whatever makes a `T`, or `{}` for its default, and can be used as a `T`.
template <class T, auto... otherwise>
class Flag {
 public:
  Flag() : given_(true) {}
  Flag(detail::NotGiven) {}
  Flag(T value) : value_(std::move(value)), given_(true) {}
  template <class U>
  requires(std::is_convertible_v<const U&, T> && !std::is_arithmetic_v<U> && !std::is_same_v<U, T> && !std::is_same_v<U, Flag>)
      Flag(const U& value)
      : value_(value), given_(true) {}
  template <detail::Number N>
  requires std::is_same_v<T, Seconds> Flag(N) { detail::refuse_timeout<N>(); }
  Flag(std::initializer_list<typename detail::Listed<T>::type> values) : value_(values), given_(true) {}

  [[nodiscard]] bool given() const noexcept { return given_; }
  [[nodiscard]] const T& value() const noexcept { return value_; }
  operator const T&() const noexcept { return value_; }
  const T* operator->() const noexcept { return &value_; }
  /// To give it bit by bit: `flags.after->add(result)`.
  T* operator->() noexcept {
    given_ = true;
    return &value_;
  }

 private:
  T value_{otherwise...};
  bool given_ = false;
};

/// Which of the engines that may take more is handed the next task. All but `least_load` cost time in proportion to the number of these.
enum class Policy : std::uint8_t {
  least_load,  ///< who has nothing to do, before who will soon have nothing to do
  lru,         ///< who was handed something longest ago
  random,      ///< any
  two_bin,     ///< of two drawn at random, the one with fewer tasks
  weighted,    ///< drawn with the inverse of the number of tasks they have as weight
  pack,        ///< who has the fewest slots left, if enough for the task, so that others stay free for what takes many
};
inline constexpr Policy pack = Policy::pack;

/// Where a task runs.
enum class Isolation : std::uint8_t {
  none,     ///< in its engine
  process,  ///< in a process of its own, which sees the program as it was when rv::run() was called, and the task's arguments
  fork,     ///< in a copy of its engine's process, which sees that engine's variables as they are; what it changes is lost
};
inline constexpr Isolation process = Isolation::process;
inline constexpr Isolation fork = Isolation::fork;

/// What becomes of the tasks that an engine had when it died.
enum class OnEngineDeath : std::uint8_t {
  rerun,  ///< others run them
  fail,   ///< they fail with EngineError, since they may have begun and must not be run twice
};
inline constexpr OnEngineDeath rerun = OnEngineDeath::rerun;
inline constexpr OnEngineDeath fail = OnEngineDeath::fail;

/// When a result counts as kept in a checkpoint.
enum class Durable : std::uint8_t {
  soon,    ///< within a second of its arrival; until then it may be lost with rank 0, and its task is done again
  strict,  ///< before it is handed out
};
inline constexpr Durable strict = Durable::strict;

/// A question to an engine, whether a task may run there: a function without arguments, or a lambda without captures, that returns bool.
class Predicate {
 public:
  using Function = bool (*)();

  Predicate() = default;
  Predicate(Function callable) : function_(callable) {}
  template <class F>
  requires(std::is_class_v<F>&& std::is_convertible_v<F, Function>) Predicate(F callable) : function_(callable) {}
  template <class F>
  requires(std::is_class_v<F> && !std::is_convertible_v<F, Function> && std::is_invocable_v<F&>) Predicate(F) {
    static_assert(!std::is_same_v<F, F>,
                  "rankview: Flags::depend is asked on engines, where captures do not come: a function, or a lambda without captures, that "
                  "returns bool; what it is to know it finds in rv::this_engine::vars()");
  }

  explicit operator bool() const noexcept { return function_ != nullptr; }
  [[nodiscard]] Function function() const noexcept { return function_; }

 private:
  Function function_ = nullptr;
};

/// How a view makes its calls; `view.with({...})` adds those that are named to those that the view has. A direct view knows `after`,
/// `queue_timeout`, `label`, and for apply() and map() `timeout`, `isolation`, `memory_limit` and `slots`; the others are for load-balanced
/// views.
struct Flags {
  /// `map`: how many items are handed out together, as balanced blocks: 10 items by 3 are 3, 3, 2, 2. Zero or less is a usage error. The
  /// default of 1 leaves the grouping to the scheduler, which measures how long items take.
  Flag<int, 1> chunksize = detail::not_given;
  /// `map`: whether iterating over the result yields its elements in item order, or, if false, as they come. get() is in item order always.
  Flag<bool, true> ordered = detail::not_given;
  /// How often a task that throws, or whose attempt times out, is tried again: on an engine where it has not failed yet, or, when there is
  /// none left, on any. Its error is that of the last attempt, with those of the others.
  Flag<int> retries = detail::not_given;
  /// How long one attempt may run; 0 for as long as it wants. When the time is over the task sees `rv::this_task::stop_requested()`, and
  /// the attempt has failed with TimeoutError. Rank 0 learns of it some milliseconds later under `MPI_THREAD_MULTIPLE`, else when the task
  /// ends. The engine is busy until then in any case, unless the task is isolated: then it is killed, with whatever it has started.
  Flag<Seconds> timeout = detail::not_given;
  /// How long a task may wait on rank 0, for an engine or for others; 0 for as long as it takes. Then it fails with TimeoutError.
  Flag<Seconds> queue_timeout = detail::not_given;
  /// Tasks of higher priority are handed out before others that wait. What has been handed out is not taken back for them.
  Flag<int> priority = detail::not_given;
  /// A word of the caller's own, found again in the metadata of each task.
  Flag<std::string> label = detail::not_given;
  /// Run only after these tasks.
  Flag<Dependency> after = detail::not_given;
  /// Run only where these tasks ran, after they have ended as asked for.
  Flag<Dependency> follow = detail::not_given;
  /// Only these of the engines; empty for all of the view's.
  Flag<std::vector<int>> targets = detail::not_given;
  /// Asked on an engine before each task: false sends the task elsewhere, false everywhere fails it with ImpossibleDependency.
  Flag<Predicate> depend = detail::not_given;
  /// So many tasks an engine may have at a time, the running one included; 0 leaves it to the scheduler, which hands out ahead of need only
  /// what is short. 1 hands nothing out ahead.
  Flag<int> hwm = detail::not_given;
  /// See Policy.
  Flag<Policy> policy = detail::not_given;
  /// Runs each task of apply() and map() in a process of its own, so that a crash, an exit(), or too much memory or time of it is that
  /// task's error, TaskCrashed or TimeoutError, and nothing else happens. There it has neither MPI nor subtasks, and its variables are its
  /// own. A task that is aborted is told, and killed a second later.
  ///
  /// Cost: `process` some tenths of a millisecond a task; `fork` likewise, and 0.1 ms for each megabyte that the engine has. What a fork of
  /// a process with MPI means, your MPI says: Open MPI warns of it over InfiniBand. `process` needs rv::run(), or under a Cluster
  /// rv::prepare_isolation() before MPI_Init.
  Flag<Isolation> isolation = detail::not_given;
  /// Isolated: so many bytes of memory the task may use, with the processes that it has started; above that they are killed and it fails
  /// with TaskCrashed. 0 for as many as there are. It is measured some hundred times a second.
  Flag<std::uint64_t> memory_limit = detail::not_given;
  /// With `retries`: each attempt may use so many times the memory of the one before it. At least 1.
  Flag<double, 1> memory_growth = detail::not_given;

  /// Isolated: how many of its engine's slots (Options::slots) the task takes; an engine runs several side by side, never above its number.
  /// At least 1. UsageError if no engine that the task may go to has so many. A chunk of a map takes them once, and runs its tasks in
  /// order. Tasks that need less go past one that waits for room, but an engine is kept for that one, so it is not passed for ever.
  Flag<int, 1> slots = detail::not_given;

  /// What becomes of a task when the engine that had it dies, or one of the team that had it. Of those that are run again the result that
  /// comes first counts, and `retries` are not used up.
  Flag<OnEngineDeath> on_engine_death = detail::not_given;
  /// A task that so many engines have died of, while they ran it, fails with EngineError, though others are left. At least 1. Where an
  /// engine could not tell what it ran (it was killed, say), the tasks that it had are run one at a time from then on, until that is known.
  Flag<int, 3> crash_limit = detail::not_given;

  /// apply(), map(), imap(): a directory in which results are kept, which is made if it is not there. A task whose result is there already
  /// is not run again, by whichever run or job that was kept, and whatever else is asked for now: tasks are known by what they are, and not
  /// by their number. That is the callable's name, what it captures, and the arguments as they are encoded. A function is known by its
  /// name, a function object by its type's, and a lambda by that of the function it stands in and its place among the lambdas there, so
  /// that one that is put before it takes its place: give `version`, or name it. What a rv::ref() refers to is not looked at, nor is what
  /// the callable itself calls. What has failed is run again. Throws UsageError if the directory cannot be used, or has results of that
  /// callable and version that are of another type.
  Flag<std::string> checkpoint = detail::not_given;
  /// With `checkpoint`: what identifies a task, instead of the callable's name, what it captures, and the arguments: what this function
  /// gives for the arguments, with the type of that, and `version`. So it is found again whatever else has changed, the callable, too; two
  /// callables whose keys are alike find each other's results, unless their versions differ. All of a version have results of one type.
  /// Called on rank 0 by who makes the call, once for each task; what it throws the verb throws. Throws UsageError if its parameters are
  /// not of the types that the task's are. Cost: the arguments are decoded.
  Flag<KeyFunction> key = detail::not_given;
  /// With `checkpoint`: says that the callable now means something else, so that what was kept under another version is not found.
  Flag<std::string> version = detail::not_given;
  /// With `checkpoint`: see Durable. `strict` costs the wait for the disk, once for all results that come meanwhile.
  Flag<Durable> durable = detail::not_given;
  /// With `checkpoint`: false has a task that failed in an earlier run fail again, with the text that it had, without being run.
  Flag<bool, true> retry_failed = detail::not_given;

  /// Takes on the flags that were given of `more`, in place of its own.
  void add(Flags&& more);
  void add(const Flags& more) { add(Flags(more)); }
};

}  // namespace rankview
