// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace rankview::transport {

// How to wait for something that only looking will show: spin for a while, then sleep for an eighth of the time waited so far, at most
// `sleep`. So the delay that sleeping adds stays in proportion, and a long wait costs little CPU.
struct IdleLimits {
  std::chrono::nanoseconds spin{50'000};
  std::chrono::nanoseconds sleep{1'000'000};
};

class Idle {
 public:
  using clock = std::chrono::steady_clock;

  explicit Idle(const IdleLimits& limits) : limits_(limits) {}

  // Something happened.
  void reset() { waiting_ = false; }

  // How long to sleep before the next look: zero while spinning.
  std::chrono::nanoseconds pause() {
    const auto now = clock::now();
    if (!waiting_) {
      waiting_ = true;
      since_ = now;
      return {};
    }
    const auto waited = now - since_;
    if (waited < limits_.spin) return {};
    return std::min<std::chrono::nanoseconds>(limits_.sleep, waited / 8);
  }

 private:
  IdleLimits limits_;
  bool waiting_ = false;
  clock::time_point since_;
};

}  // namespace rankview::transport
