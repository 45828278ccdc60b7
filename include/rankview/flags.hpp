// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/dependency.hpp>
#include <rankview/metadata.hpp>

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace rankview {

/// Which of the engines that may take more is handed the next task. All but `least_load` cost time in proportion to the number of these.
enum class Policy : std::uint8_t {
  least_load,  ///< who has nothing to do, before who will soon have nothing to do
  lru,         ///< who was handed something longest ago
  random,      ///< any
  two_bin,     ///< of two drawn at random, the one with fewer tasks
  weighted,    ///< drawn with the inverse of the number of tasks they have as weight
};

/// A question to an engine, whether a task may run there: a function without arguments, or a lambda without captures, that returns bool.
class Predicate {
 public:
  using Function = bool (*)();

  Predicate() = default;
  Predicate(Function callable) : function_(callable) {}
  template <class F>
  requires(std::is_class_v<F>&& std::is_convertible_v<F, Function>) Predicate(F callable) : function_(callable) {}

  explicit operator bool() const noexcept { return function_ != nullptr; }
  [[nodiscard]] Function function() const noexcept { return function_; }

 private:
  Function function_ = nullptr;
};

/// How a view makes its calls; given with `view.with({...})`. A direct view knows `after`, `queue_timeout`, `label`, and for
/// apply() and map() `timeout`; the others are for load-balanced views.
struct Flags {
  /// `map`: how many items are handed out together, as balanced blocks: 10 items by 3 are 3, 3, 2, 2. Zero or less is a usage error. The
  /// default of 1 leaves the grouping to the scheduler, which measures how long items take.
  int chunksize = 1;
  /// `map`: whether iterating over the result yields its elements in item order, or, if false, as they come. get() is in item order always.
  bool ordered = true;
  /// How often a task that throws, or whose attempt times out, is tried again: on an engine where it has not failed yet, or, when there is
  /// none left, on any. Its error is that of the last attempt, with those of the others.
  int retries = 0;
  /// How long one attempt may run; 0 for as long as it wants. When the time is over the task sees `rv::this_task::stop_requested()`, and
  /// the attempt has failed with TimeoutError. Rank 0 learns of it some milliseconds later under `MPI_THREAD_MULTIPLE`, else when the task
  /// ends. The engine is busy until then in any case.
  Seconds timeout{};
  /// How long a task may wait on rank 0, for an engine or for others; 0 for as long as it takes. Then it fails with TimeoutError.
  Seconds queue_timeout{};
  /// Tasks of higher priority are handed out before others that wait. What has been handed out is not taken back for them.
  int priority = 0;
  /// A word of the caller's own, found again in the metadata of each task.
  std::string label{};
  /// Run only after these tasks.
  Dependency after{};
  /// Run only where these tasks ran, after they have ended as asked for.
  Dependency follow{};
  /// Only these of the engines; empty for all of the view's.
  std::vector<int> targets{};
  /// Asked on an engine before each task: false sends the task elsewhere, false everywhere fails it with ImpossibleDependency.
  Predicate depend{};
  /// So many tasks an engine may have at a time, the running one included; 0 leaves it to the scheduler, which hands out ahead of need only
  /// what is short. 1 hands nothing out ahead.
  int hwm = 0;
  /// See Policy.
  Policy policy = Policy::least_load;
};

}  // namespace rankview
