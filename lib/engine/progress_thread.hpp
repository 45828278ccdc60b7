// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/clock.hpp"

#include <atomic>
#include <cstdint>
#include <functional>

namespace rankview::engine {

// A second thread that does for a long task what the engine's loop does between short ones. Sleeps while the engine has nothing to do;
// else it looks once a period whether the loop is still in the same item.
class ProgressThread {
 public:
  // `beat` is called in the thread, once for each period that one item takes.
  explicit ProgressThread(std::function<void()> beat);
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;
  ~ProgressThread();

  // Until start() there is none, and nothing else has an effect.
  void start(const transport::Clock& clock);

  // The loop, which alone calls this, begins an item.
  void note_item() { items_begun_.store(items_begun_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  // There is something to do.
  void wake() {
    if (thread_.joinable() && activity_.load(std::memory_order_relaxed) == parked) {
      activity_ = busy;
      activity_.notify_one();
    }
  }
  // There is nothing to do.
  void park() {
    if (activity_.load(std::memory_order_relaxed) == busy) activity_ = parked;
  }

 private:
  static constexpr int parked = 0;
  static constexpr int busy = 1;
  static constexpr int quitting = 2;

  void run();

  std::function<void()> beat_;
  std::atomic<std::uint64_t> items_begun_{0};
  std::atomic<int> activity_{parked};
  transport::Clock clock_;
  transport::Thread thread_;
};

}  // namespace rankview::engine
