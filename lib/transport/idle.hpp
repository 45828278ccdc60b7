// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace rankview::transport {

// How to wait for something that only looking will show: spin for a while, then sleep for a sixteenth of the time waited so far, at most
// `sleep`. So the delay that sleeping adds stays in proportion, and a long wait costs little CPU.
struct IdleLimits {
  std::chrono::nanoseconds spin{50'000};
  std::chrono::nanoseconds sleep{1'000'000};
};

// How long one waiter spins. Two that wait for each other's answers and have both begun to sleep would stay so, each being late because the
// other was. What their waits take then is a few hundred microseconds, some of which the system adds to every sleep. So after a wait that
// ended by then the next may spin for four times as long, up to that; after one that took longer, for half as long.
class SpinTime {
 public:
  explicit SpinTime(const IdleLimits& limits) : limits_(limits), spin_(limits.spin) {}

  [[nodiscard]] const IdleLimits& limits() const { return limits_; }
  [[nodiscard]] std::chrono::nanoseconds get() const { return spin_; }

  // A wait that came to sleeping has ended.
  void learn(std::chrono::nanoseconds waited) {
    const auto longest = 16 * limits_.spin;
    spin_ = waited < longest ? std::min<std::chrono::nanoseconds>(4 * spin_, longest)
                             : std::max<std::chrono::nanoseconds>(spin_ / 2, limits_.spin);
  }

 private:
  IdleLimits limits_;
  std::chrono::nanoseconds spin_;
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
    if (slept_) spin_.learn(clock::now() - since_);
    slept_ = false;
    looks_ = 0;
  }

  // How long to sleep before the next look: zero while spinning, which with a limit of zero is one look.
  std::chrono::nanoseconds pause() {
    // Reading the clock costs about as much as a look; what comes soon should not wait for it.
    const unsigned per_reading = spin_.get().count() != 0 ? looks_per_reading : 1;
    if (!slept_ && ++looks_ % per_reading != 0) return {};
    const auto now = clock::now();
    if (looks_ == per_reading && !slept_) {
      since_ = now;
      return {};
    }
    const auto waited = now - since_;
    if (waited < spin_.get()) return {};
    slept_ = true;
    return std::clamp<std::chrono::nanoseconds>(waited / 16, shortest, std::max(shortest, spin_.limits().sleep));
  }

 private:
  static constexpr unsigned looks_per_reading = 16;
  static constexpr std::chrono::nanoseconds shortest{1'000};

  SpinTime& spin_;
  unsigned looks_ = 0;
  bool slept_ = false;
  typename clock::time_point since_;
};
using Idle = IdleBy<std::chrono::steady_clock>;

}  // namespace rankview::transport
