// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <optional>

namespace rankview::farm {

// How a command is told to end, with all that it has started: by SIGTERM three times, and SIGKILL if it does not. The pauses are GNU
// parallel's.
class Termination {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void begin(Time now) {
    if (!next_) next_ = now;
  }
  [[nodiscard]] bool begun() const { return next_.has_value(); }
  // When there is something to send; nothing if it has not begun, or nothing is left to be tried.
  [[nodiscard]] std::optional<Time> due() const { return step_ < steps.size() ? next_ : std::nullopt; }
  // What is to be sent now, or 0.
  int signal(Time now) {
    if (!due() || now < *next_) return 0;
    const Step& step = steps[step_++];
    next_ = now + step.pause;
    return step.signal;
  }

 private:
  struct Step {
    int signal;
    std::chrono::milliseconds pause;
  };
  static constexpr std::array<Step, 4> steps{{{SIGTERM, std::chrono::milliseconds(200)},
                                              {SIGTERM, std::chrono::milliseconds(100)},
                                              {SIGTERM, std::chrono::milliseconds(50)},
                                              {SIGKILL, std::chrono::milliseconds(25)}}};

  std::optional<Time> next_;
  std::size_t step_ = 0;
};

}  // namespace rankview::farm
