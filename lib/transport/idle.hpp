// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

namespace rankview::transport {

// How to wait for something that only looking will show: spin for a while, then sleep for a sixteenth of the time waited so far, at most
// `sleep`. So the delay that sleeping adds stays in proportion, and a long wait costs little CPU.
struct IdleLimits {
  std::chrono::nanoseconds spin{50'000};
  std::chrono::nanoseconds sleep{1'000'000};
};

// How long one waiter spins. Two that wait for each other's answers and have both begun to sleep would stay so, each being late because the
// other was. So after a wait that may have ended late for that reason, the next ones spin for longer, until one of them is in vain.
//
// Where sleeps take longer than they should, such waits are long, too, and cannot be told from others by their length. After spinning that
// was in vain from the start, only what is short for certain counts for some waits, so that it costs little where nobody is being slow.
class SpinTime {
 public:
  explicit SpinTime(const IdleLimits& limits) : limits_(limits), spin_(limits.spin) {}

  [[nodiscard]] const IdleLimits& limits() const { return limits_; }
  [[nodiscard]] std::chrono::nanoseconds get() const { return spin_; }

  // A wait has ended without sleeping.
  void met() { ++met_; }
  // One that came to sleeping has ended; its last sleep took `slept`.
  void learn(std::chrono::nanoseconds waited, std::chrono::nanoseconds slept) {
    const auto longer = 8 * limits_.spin;
    const auto late = std::min(slept, limits_.sleep);
    if (spin_ > limits_.spin) {
      if (met_ == 0) cautious_ = caution;
      spin_ = limits_.spin;
    } else if (waited < longer || (cautious_ == 0 && waited < 4 * late && longer.count() != 0)) {
      spin_ = std::clamp<std::chrono::nanoseconds>(2 * late, longer, 2 * longer);
      met_ = 0;
    } else if (cautious_ != 0) {
      --cautious_;
    }
  }

 private:
  static constexpr unsigned caution = 32;

  IdleLimits limits_;
  std::chrono::nanoseconds spin_;
  std::uint64_t met_ = 0;  // waits since it spins for longer
  unsigned cautious_ = 0;  // waits for which it still is
};

// Sleeps for as long as it says: to the microsecond, where the system would otherwise add some fifty to be able to wake several sleepers at
// once.
void nap(std::chrono::nanoseconds pause);

// One wait.
template <class Clock>
class IdleBy {
 public:
  using clock = Clock;

  explicit IdleBy(SpinTime& spin) : spin_(spin) {}

  // Something happened: the next wait begins.
  void reset() {
    if (slept_) {
      const auto now = clock::now();
      spin_.learn(now - since_, now - asleep_);
    } else {
      spin_.met();
    }
    slept_ = false;
    looks_ = 0;
  }

  // How long to sleep before the next look: zero while spinning.
  std::chrono::nanoseconds pause() {
    // Reading the clock costs about as much as a look; what comes soon should not wait for it.
    if (!slept_ && ++looks_ % looks_per_reading != 0) return {};
    const auto now = clock::now();
    if (looks_ == looks_per_reading && !slept_) {
      since_ = now;
      return {};
    }
    const auto waited = now - since_;
    if (waited < spin_.get()) return {};
    slept_ = true;
    asleep_ = now;
    return std::min<std::chrono::nanoseconds>(spin_.limits().sleep, waited / 16);
  }

 private:
  static constexpr unsigned looks_per_reading = 16;

  SpinTime& spin_;
  unsigned looks_ = 0;
  bool slept_ = false;
  typename clock::time_point since_;
  typename clock::time_point asleep_;  // since when, the last time
};
using Idle = IdleBy<std::chrono::steady_clock>;

}  // namespace rankview::transport
