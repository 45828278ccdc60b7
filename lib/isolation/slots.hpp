// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/runner.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <vector>

namespace rankview::isolation {

// A task in a slot. What its child tells comes to published(), from any thread.
class SlotTask : public Watcher {
 public:
  SlotTask() = default;
  SlotTask(const SlotTask&) = delete;
  SlotTask& operator=(const SlotTask&) = delete;
  virtual ~SlotTask() = default;

  // Before it is started. What the task refers to has to stay.
  Task task;
  bool forked = false;  // its child is one of this process

  // Before it is started anew.
  void renew() {
    stopped_.store(false, std::memory_order_relaxed);
    outcome = {};
    error = nullptr;
  }

  // It is not wanted any more.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool stop_requested() override { return stopped_.load(std::memory_order_relaxed); }

  // When it has ended.
  Outcome outcome;
  std::exception_ptr error;  // there could be no child

 private:
  std::atomic<bool> stopped_{false};
};

// Runs tasks in children, side by side. Interface, since a simulation does it without processes.
class Slots {
 public:
  Slots() = default;
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  virtual ~Slots() = default;

  [[nodiscard]] virtual std::size_t size() const = 0;
  // One has to be free.
  virtual void start(std::shared_ptr<SlotTask> task) = 0;
  // Those that have ended and were not taken, in this order.
  [[nodiscard]] virtual bool any_ended() const = 0;
  virtual std::vector<std::shared_ptr<SlotTask>> take_ended() = 0;
};

}  // namespace rankview::isolation
