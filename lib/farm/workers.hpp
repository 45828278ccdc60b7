// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace rankview::farm {

// Who runs commands, side by side. Interface, since they may be on other hosts, and tests do without processes.
class Workers {
 public:
  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  virtual ~Workers() = default;

  // How many run at a time, at most, if each has one core.
  [[nodiscard]] virtual std::size_t slots() const = 0;
  // Jobs for how many cores are wanted now. `ahead`: more than can be run at once, so that none waits for the next.
  [[nodiscard]] virtual std::size_t wanted(bool ahead) const = 0;
  virtual void start(Job job) = 0;
  // Takes back those that were to be started and have not begun.
  virtual std::vector<Job> recall() = 0;
  // Those that have ended, each once.
  virtual std::vector<End> take_ended() = 0;
  // Waits until one has ended or one of the descriptors can be read from, at most for so long.
  virtual void wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) = 0;
  // How long a command may run, from now on, also those that run; zero for ever.
  virtual void set_time_limit(std::chrono::nanoseconds limit) = 0;
  // All that run are told to end, then killed; those that have not begun do not begin. All come by take_ended() as killed.
  virtual void kill() = 0;
};

}  // namespace rankview::farm
