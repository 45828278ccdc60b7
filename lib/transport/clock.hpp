// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/idle.hpp"

#include <chrono>
#include <cstdint>

namespace rankview::transport {

// Where a clock of a simulated run gets its time from.
class TimeSource {
 public:
  [[nodiscard]] virtual std::int64_t now() const = 0;
  virtual void nap(std::chrono::nanoseconds pause) = 0;

 protected:
  ~TimeSource() = default;
};

// Nanoseconds since the epoch by a clock that runs evenly: the wall clock at one moment, and the steady clock since. Processes of one host
// that share an anchor agree to the nanosecond; hosts agree as well as their wall clocks did at the start.
class Clock {
 public:
  Clock() : anchor_(wall() - steady()) {}
  explicit Clock(std::int64_t anchor) : anchor_(anchor) {}
  // A simulated one.
  explicit Clock(TimeSource& source) : anchor_(0), source_(&source) {}

  [[nodiscard]] std::int64_t now() const { return source_ == nullptr ? anchor_ + steady() : source_->now(); }
  [[nodiscard]] std::int64_t anchor() const { return anchor_; }
  // Sleeps for so long.
  void nap(std::chrono::nanoseconds pause) const { source_ == nullptr ? transport::nap(pause) : source_->nap(pause); }

 private:
  static std::int64_t steady() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  static std::int64_t wall() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  std::int64_t anchor_;
  TimeSource* source_ = nullptr;
};

}  // namespace rankview::transport
