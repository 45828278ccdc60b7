// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/slots.hpp"
#include "isolation/task_server.hpp"

#include <rankview/variables.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rankview::isolation {

// A thread for each slot, which starts children and watches over them. It is made when it is first needed, and lives as long as this.
class ThreadedSlots final : public Slots {
 public:
  // `server`: makes children that are not of this process; null where there is none. Has to stay, like `variables`, which forked children
  // have.
  ThreadedSlots(std::size_t size, TaskServer* server, Variables& variables);
  // Tasks that run are stopped, and waited for.
  ~ThreadedSlots() override;

  [[nodiscard]] std::size_t size() const override { return size_; }
  void start(std::shared_ptr<SlotTask> task) override;
  [[nodiscard]] bool any_ended() const override { return any_ended_.load(std::memory_order_acquire); }
  std::vector<std::shared_ptr<SlotTask>> take_ended() override;

 private:
  class Slot;

  void run_slot(Slot& slot);

  const std::size_t size_;
  TaskServer* const server_;
  Variables& variables_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<bool> any_ended_{false};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<SlotTask>> to_run_;
  std::vector<std::shared_ptr<SlotTask>> running_;
  std::vector<std::shared_ptr<SlotTask>> ended_;
  bool quitting_ = false;
};

}  // namespace rankview::isolation
