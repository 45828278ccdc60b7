// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/time_limit.hpp"

#include <rankview/errors.hpp>

#include <cmath>
#include <cstdlib>

namespace rankview::farm {
namespace {

constexpr std::size_t enough_for_median = 3;
// Longer than any command runs, and short enough to be counted in nanoseconds.
constexpr double longest = 3e9;

double seconds_of_unit(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86400;
    default:
      return 0;
  }
}

// The number that begins there, and is moved beyond; nothing below 0 is one.
bool read_number(const char*& at, double& number) {
  if ((*at < '0' || *at > '9') && *at != '.') return false;
  char* end = nullptr;
  number = std::strtod(at, &end);
  const bool read = end != at && std::isfinite(number) && number >= 0;
  at = end;
  return read;
}

}  // namespace

std::chrono::nanoseconds duration_of(const std::string& text, const std::string& option) {
  double seconds = 0;
  const char* at = text.c_str();
  bool good = *at != '\0';
  while (good && *at != '\0') {
    double number = 0;
    good = read_number(at, number);
    double unit = 1;
    if (good && *at != '\0') {
      unit = seconds_of_unit(*at);
      good = unit != 0;
      ++at;
    }
    seconds += number * unit;
  }
  if (!good || seconds > longest) throw UsageError(option + " should be a time, as in 10, 1.5s, 90m or 1h30m, and is \"" + text + "\"");
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

TimeLimit::TimeLimit(const std::string& text) {
  if (text.empty() || text.back() != '%') {
    fixed_ = duration_of(text, "--timeout");
    return;
  }
  const char* at = text.c_str();
  if (!read_number(at, percent_) || *at != '%' || percent_ <= 100)
    throw UsageError("--timeout in percent of the median has to be more than 100%, and is " + text);
}

void TimeLimit::count_success(std::chrono::nanoseconds took) {
  if (percent_ == 0) return;
  if (lower_.empty() || took <= lower_.top()) {
    lower_.push(took);
  } else {
    upper_.push(took);
  }
  if (lower_.size() > upper_.size() + 1) {
    upper_.push(lower_.top());
    lower_.pop();
  } else if (upper_.size() > lower_.size()) {
    lower_.push(upper_.top());
    upper_.pop();
  }
}

std::chrono::nanoseconds TimeLimit::now() const {
  if (percent_ == 0) return fixed_;
  if (lower_.size() + upper_.size() < enough_for_median) return Duration(0);
  return Duration(static_cast<std::int64_t>(static_cast<double>(lower_.top().count()) * percent_ / 100));
}

}  // namespace rankview::farm
