// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/item_run.hpp"
#include "engine/stack.hpp"
#include "transport/clock.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>

namespace rankview::engine {

// The item that runs, which `->` reaches, and those behind it, each of which waits for a subtask.
//
// Changed with the engine's lock. Whether the running item is to stop may be asked without it, by the task's threads and the progress
// thread.
class Runs {
 public:
  Runs() = default;
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  ItemRun* operator->() { return running_; }
  const ItemRun* operator->() const { return running_; }
  ItemRun& operator*() { return *running_; }
  // Leads to the others by ItemRun::waiting.
  [[nodiscard]] const ItemRun* running() const { return running_; }

  // The running item waits from here on, and others run as `nested`.
  void begin_nested(ItemRun& nested) {
    nested.waiting = running_;
    running_ = &nested;
    ++suspended_;
  }
  // It goes on.
  void end_nested() {
    running_ = running_->waiting;
    --suspended_;
  }
  // Of items that have been begun and wait: how many cannot end before these go on. What stands behind one in its batch cannot begin, and
  // what was folded with those before it cannot be sent.
  [[nodiscard]] std::uint64_t suspended_items() const;

  // Throws UsageError if the stack has no room for a task that runs while others wait for theirs, and `more` bytes. In the thread that
  // serves.
  void check_depth(int engine, std::size_t more);
  // Another thread serves, with a stack of its own.
  void forget_stack() { stack_.reset(); }

  // What others see of the item that runs from here on.
  void show(bool stop_wanted) {
    stop_wanted_.store(stop_wanted, std::memory_order_release);
    deadline_.store(running_->deadline, std::memory_order_relaxed);
  }
  // The item has ended, and cannot run out of time any more.
  void end_deadline() {
    running_->deadline = 0;
    deadline_.store(0, std::memory_order_relaxed);
  }
  void want_stop() { stop_wanted_.store(true, std::memory_order_release); }
  // Whether the item should stop, as somebody wants it or since its time is over. The clock is read where it has a deadline only.
  [[nodiscard]] bool stop_due(const transport::Clock& clock) const {
    return stop_wanted_.load(std::memory_order_acquire) || overdue(clock);
  }
  [[nodiscard]] bool overdue(const transport::Clock& clock) const {
    const std::int64_t deadline = deadline_.load(std::memory_order_relaxed);
    return deadline != 0 && clock.now() > deadline;
  }
  // Whom to ask to stop, if that is due. It runs the task's callbacks, so it must be done without the lock, which they may want.
  [[nodiscard]] std::stop_source due_stop(const transport::Clock& clock) const {
    return running_->stop_source && stop_due(clock) ? *running_->stop_source : std::stop_source(std::nostopstate);
  }

 private:
  ItemRun first_;
  ItemRun* running_ = &first_;
  std::size_t suspended_ = 0;   // how many wait
  std::optional<Stack> stack_;  // of the thread that serves, where tasks have submitted some
  std::atomic<bool> stop_wanted_{false};
  std::atomic<std::int64_t> deadline_{0};
};

}  // namespace rankview::engine
