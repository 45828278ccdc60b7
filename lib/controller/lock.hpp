// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace rankview::controller {

// A mutex whose holder can see that others want it. Whoever drives the progress loop holds the lock most of the time, and lets others in
// between two rounds; a plain mutex would mostly be won by the driver again.
class SharedLock {
 public:
  void lock() {
    if (!mutex_.try_lock()) {
      waiting_.fetch_add(1, std::memory_order_relaxed);
      mutex_.lock();
      waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  bool try_lock() { return mutex_.try_lock(); }
  // Whether it could be had within that time.
  bool try_lock_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    bool had = mutex_.try_lock();
    for (; !had && std::chrono::steady_clock::now() < end; had = mutex_.try_lock())
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return had;
  }
  void unlock() { mutex_.unlock(); }
  [[nodiscard]] bool wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Held: lets whoever waits have it, then takes it again.
  void let_others_in() {
    unlock();
    for (int i = 0; i < 100 && wanted(); ++i) std::this_thread::yield();
    mutex_.lock();
  }

 private:
  std::mutex mutex_;
  std::atomic<int> waiting_{0};
};

}  // namespace rankview::controller
