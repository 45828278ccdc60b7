// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/engines.hpp"
#include "controller/timers.hpp"
#include "scheduler/scheduler.hpp"

#include <rankview/detail/call.hpp>

#include <boost/container/small_vector.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace rankview::controller {

using Grants = boost::container::small_vector<scheduler::Grant, 1>;

// Items that wait for an engine: says to the scheduler what a call wants, and knows how long they may.
class TaskQueue {
 public:
  explicit TaskQueue(const Engines& engines);

  // All items of a call, which are known; but for those that somebody can begin at once, since nothing waits. Where `at_once` is not null
  // they are put there, and are to be handed out.
  void enqueue(const detail::Call& call, Grants* at_once = nullptr);
  // Those of one block, of a call whose items may begin as they come.
  void enqueue(const detail::Call& call, const detail::ArgumentBlock& block, Grants* at_once = nullptr);
  // Some of a block.
  void enqueue(const detail::Call& call, const detail::ArgumentBlock& block, std::uint64_t first, std::uint64_t count);
  // One item once more, and not on these engines if that can be helped. `alone`: its engine should have nothing else meanwhile. False if
  // nobody may run it.
  bool enqueue_again(detail::Call& call, std::uint64_t item, scheduler::Avoid avoid, bool alone);
  // What was to be enqueued and nobody is left to run.
  [[nodiscard]] bool any_stranded() const { return !stranded_.empty(); }
  std::vector<scheduler::Range> take_stranded() { return std::exchange(stranded_, {}); }

  // Takes out what of a call, or whether the one item, stands in a queue.
  void withdraw(const detail::Call& call);
  void withdraw(const detail::Call& call, std::uint64_t item);

  // Whether to see what engines could give back, which is done every 100 microseconds. `now`: nanoseconds of the clock.
  bool recall_due(std::int64_t now) {
    if (now < next_recall_) return false;
    next_recall_ = now + 100'000;
    return true;
  }

  // Of calls that have a queue_timeout.
  [[nodiscard]] Timers& timers() { return timers_; }
  [[nodiscard]] scheduler::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] const scheduler::Scheduler& scheduler() const { return scheduler_; }

 private:
  [[nodiscard]] inline scheduler::Work work_for(const detail::Call& call, std::uint64_t first, std::uint64_t count,
                                                const detail::ArgumentBlock& block) const;
  void submit(const scheduler::Work& work, const scheduler::Placement& placement, Grants* at_once);

  scheduler::Scheduler scheduler_;
  std::vector<scheduler::Range> stranded_;
  std::int64_t next_recall_ = 0;
  Timers timers_;
};

// Whether a call's items are handed to the scheduler as they come, since their places do not depend on how many there are.
[[nodiscard]] bool enqueued_as_they_come(const detail::Call& call);

}  // namespace rankview::controller
