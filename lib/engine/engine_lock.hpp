// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>

namespace rankview::engine {

// Who may touch the engine's state: the loop, which has it nearly always, except while it is in a task; then the progress thread. Handing
// it over costs the loop a store before each task and an exchange after it.
class EngineLock {
 public:
  void unlock() { held_.store(false, std::memory_order_release); }
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  bool try_lock() { return !held_.exchange(true, std::memory_order_acquire); }

  // In a child that the task has forked, which is no engine: nobody gets it any more, and who wants it ends the child.
  void withhold() {
    forked_ = true;
    held_.store(true, std::memory_order_relaxed);
  }

  // Lends it, for a while, to whoever wants it: around all code of the user's.
  class Lent {
   public:
    explicit Lent(EngineLock& lock) : lock_(lock) { lock_.unlock(); }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() { lock_.lock(); }

   private:
    EngineLock& lock_;
  };

 private:
  void wait() const;

  std::atomic<bool> held_{true};
  bool forked_ = false;
};

}  // namespace rankview::engine
