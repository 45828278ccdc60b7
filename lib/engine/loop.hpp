// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/idle.hpp"

#include <atomic>
#include <cstdint>
#include <thread>

namespace rankview::engine {

// The thread that serves: which one it is, how it waits and for what, and when it last looked for messages.
class Loop {
 public:
  explicit Loop(const transport::IdleLimits& limits) : spin_(limits) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The calling thread serves from here on.
  void begin() { thread_ = std::this_thread::get_id(); }
  [[nodiscard]] bool in_this_thread() const { return thread_ == std::this_thread::get_id(); }

  // How long its waits spin, which each of them teaches.
  [[nodiscard]] transport::SpinTime& spin() { return spin_; }

  // Between short tasks it looks for messages every 50 microseconds. `now`: nanoseconds of the clock.
  [[nodiscard]] bool look_due(std::int64_t now) const { return now - last_look_ >= 50'000; }
  void note_look(std::int64_t now) { last_look_ = now; }

  // What it waits for where it is in no task; from any thread.
  [[nodiscard]] const char* waits_for() const { return waits_for_.load(std::memory_order_relaxed); }
  // While it lives, that is what it waits for.
  class WaitingFor {
   public:
    WaitingFor(Loop& loop, const char* what) : loop_(loop), before_(loop.waits_for_.exchange(what)) {}
    WaitingFor(const WaitingFor&) = delete;
    WaitingFor& operator=(const WaitingFor&) = delete;
    ~WaitingFor() { loop_.waits_for_ = before_; }

   private:
    Loop& loop_;
    const char* before_;
  };

 private:
  std::thread::id thread_;
  transport::SpinTime spin_;
  std::int64_t last_look_ = 0;
  std::atomic<const char*> waits_for_{"messages"};
};

}  // namespace rankview::engine
