// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/slot.hpp"
#include "farm/stock.hpp"
#include "farm/workers.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace rankview::farm {

// Runs commands on this host: a thread for each slot, which starts a command, waits for it, and takes the next, so that commands are
// started side by side, too. A thread is made when it is first needed.
class SlotPool final : public Workers {
 public:
  explicit SlotPool(SlotTerms terms);
  // `capacity`: what there is of this host besides cores.
  SlotPool(SlotTerms terms, Capacity capacity);
  // What runs is killed at once.
  ~SlotPool() override;

  [[nodiscard]] std::size_t slots() const override { return terms_.slots; }
  [[nodiscard]] std::size_t wanted(bool ahead) const override;
  void start(Job job) override;
  std::vector<Job> recall() override;
  std::vector<End> take_ended() override;
  void wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) override;
  void set_time_limit(std::chrono::nanoseconds limit) override;
  void kill() override;

 private:
  void run_slot(Slot& slot);
  void add_ended(End end);
  void wake_all();

  const SlotTerms terms_;
  SlotOrders orders_;
  EndedBell bell_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Stock stock_;
  Backlog queue_;
  std::size_t idle_ = 0;     // slots that wait for a job
  std::size_t in_hand_ = 0;  // cores of jobs that were started and not taken back
  std::vector<End> ended_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace rankview::farm
