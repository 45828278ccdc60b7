// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/scheduler.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace rankview::controller {

// Items that wait for an engine: says to the scheduler what a call wants.
class TaskQueue {
 public:
  explicit TaskQueue(int engines);

  // All items of a call, which are known.
  void enqueue(const detail::Call& call);
  // Those of one block, of a call whose items may begin as they come.
  void enqueue(const detail::Call& call, const detail::ArgumentBlock& block);
  // One item once more, and not on these engines if that can be helped. `alone`: its engine should have nothing else meanwhile. False if
  // nobody may run it.
  bool enqueue_again(detail::Call& call, std::uint64_t item, scheduler::Avoid avoid, bool alone);
  // What was to be enqueued and nobody is left to run.
  [[nodiscard]] bool any_stranded() const { return !stranded_.empty(); }
  std::vector<scheduler::Range> take_stranded() { return std::exchange(stranded_, {}); }

  // Takes out what of a call, or whether the one item, stands in a queue.
  void withdraw(const detail::Call& call);
  void withdraw(const detail::Call& call, std::uint64_t item);

  [[nodiscard]] scheduler::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] const scheduler::Scheduler& scheduler() const { return scheduler_; }

 private:
  void submit(const detail::Call& call, std::uint64_t first, std::uint64_t count, const detail::ArgumentBlock& block);
  void submit(const scheduler::Work& work, const scheduler::Placement& placement);

  scheduler::Scheduler scheduler_;
  std::vector<scheduler::Range> stranded_;
};

// Whether a call's items are handed to the scheduler as they come, since their places do not depend on how many there are.
[[nodiscard]] bool enqueued_as_they_come(const detail::Call& call);

}  // namespace rankview::controller
