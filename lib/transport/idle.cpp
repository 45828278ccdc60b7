// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/idle.hpp"

#include "transport/clock.hpp"

#include <sys/prctl.h>

namespace rankview::transport {

void nap(std::chrono::nanoseconds pause) {
  constexpr unsigned long precise = 1000;  // nanoseconds
  thread_local const int set = prctl(PR_SET_TIMERSLACK, precise, 0, 0, 0);
  static_cast<void>(set);  // where it cannot be set, sleeps are longer and still right
  std::this_thread::sleep_for(pause);
}

namespace {

TimeSource* simulated_time = nullptr;

}  // namespace

std::chrono::steady_clock::time_point steady_now() {
  if (simulated_time == nullptr) return std::chrono::steady_clock::now();
  return Clock(*simulated_time).steady_now();
}

void set_time_source(TimeSource* source) { simulated_time = source; }

}  // namespace rankview::transport
