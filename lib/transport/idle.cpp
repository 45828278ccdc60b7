// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/idle.hpp"

#include <sys/prctl.h>

namespace rankview::transport {

void nap(std::chrono::nanoseconds pause) {
  constexpr unsigned long precise = 1000;  // nanoseconds
  thread_local const int set = prctl(PR_SET_TIMERSLACK, precise, 0, 0, 0);
  static_cast<void>(set);  // where it cannot be set, sleeps are longer and still right
  std::this_thread::sleep_for(pause);
}

}  // namespace rankview::transport
