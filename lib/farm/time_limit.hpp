// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <functional>
#include <queue>
#include <string>
#include <vector>

namespace rankview::farm {

// So many seconds, or with s, m, h or d behind each number minutes, hours and days: 1.5, 90s, 1h30m. Throws UsageError, which names the
// option.
std::chrono::nanoseconds duration_of(const std::string& text, const std::string& option);

// How long a command may run: so many seconds, or a percentage of the median of those that have succeeded, when three have.
class TimeLimit {
 public:
  TimeLimit() = default;
  // Throws UsageError.
  explicit TimeLimit(const std::string& text);

  // Whether it changes as commands end.
  [[nodiscard]] bool moves() const { return percent_ != 0; }
  void count_success(std::chrono::nanoseconds took);
  // Zero for none.
  [[nodiscard]] std::chrono::nanoseconds now() const;

 private:
  using Duration = std::chrono::nanoseconds;

  Duration fixed_{0};
  double percent_ = 0;
  // The lower half and the upper half of what commands took; the median is the top of the lower one.
  std::priority_queue<Duration> lower_;
  std::priority_queue<Duration, std::vector<Duration>, std::greater<>> upper_;
};

}  // namespace rankview::farm
