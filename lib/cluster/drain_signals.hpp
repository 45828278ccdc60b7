// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <csignal>
#include <vector>

namespace rankview::inline abi_0_1 {

// While it lives, SIGTERM and SIGUSR1 do nothing to this process but make a descriptor readable, from which a number can be read for each.
// Not where the program has a handler for them, and there is one of these at most in a process: others do nothing. Children do not inherit
// it.
class DrainSignals {
 public:
  // `told`: an eventfd, or -1 if nobody wants to know.
  explicit DrainSignals(int told);
  DrainSignals(const DrainSignals&) = delete;
  DrainSignals& operator=(const DrainSignals&) = delete;
  ~DrainSignals();

  // What is read for a SIGTERM, and for a SIGUSR1, times how many there were.
  static constexpr unsigned long terminate = 1;
  static constexpr unsigned long user = 1UL << 20U;

 private:
  std::vector<int> taken_;
};

}  // namespace rankview
