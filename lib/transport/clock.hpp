// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstdint>

namespace rankview::transport {

// Nanoseconds since the epoch by a clock that runs evenly: the wall clock at one moment, and the steady clock since. Processes of one host
// that share an anchor agree to the nanosecond; hosts agree as well as their wall clocks did at the start.
class Clock {
 public:
  Clock() : anchor_(wall() - steady()) {}
  explicit Clock(std::int64_t anchor) : anchor_(anchor) {}

  [[nodiscard]] std::int64_t now() const { return anchor_ + steady(); }
  [[nodiscard]] std::int64_t anchor() const { return anchor_; }

 private:
  static std::int64_t steady() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  static std::int64_t wall() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  std::int64_t anchor_;
};

}  // namespace rankview::transport
