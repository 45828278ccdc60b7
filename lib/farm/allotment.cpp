// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/allotment.hpp"

#include "launch/tally.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <system_error>

namespace rankview::farm {
namespace {

// The variable's value, which is gone then; empty if there is none.
std::string take_variable(const char* name) {
  const char* const value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::optional<std::chrono::seconds> take_seconds(const char* name) {
  const std::string text = take_variable(name);
  if (text.empty()) return std::nullopt;
  long long number = 0;
  const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || behind != text.data() + text.size() || number > 1'000'000'000'000)
    throw UsageError(std::string(name) + " should be a number of seconds, and is " + text);
  return std::chrono::seconds(number);
}

}  // namespace

Allotment Allotment::take() {
  Allotment allotment;
  const auto slurm = take_seconds("SLURM_JOB_END_TIME");
  if (slurm) allotment.end_ = Time(*slurm);
  if (const auto walltime = take_seconds("RANKVIEW_WALLTIME")) allotment.end_ = std::chrono::system_clock::now() + *walltime;
  if (const auto margin = take_seconds("RANKVIEW_WALLTIME_MARGIN_S")) allotment.margin_ = *margin;
  allotment.tally_ = take_variable("RANKVIEW_TALLY");
  return allotment;
}

Allotment::~Allotment() {
  for (const timer_t timer : timers_) ::timer_delete(timer);
}

void Allotment::arm() {
  if (!end_) return;
  send_at(SIGUSR1, *end_ - margin_);
  send_at(SIGALRM, *end_ - margin_ / 4);
}

void Allotment::send_at(int signal, Time when) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = signal;
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) throw std::system_error(errno, std::generic_category(), "timer_create");
  timers_.push_back(timer);
  // What is over already is due at once; zero would mean never.
  const auto left = std::max(std::chrono::nanoseconds(1), std::chrono::nanoseconds(when - std::chrono::system_clock::now()));
  itimerspec due{};
  due.it_value.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
  due.it_value.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
  if (::timer_settime(timer, 0, &due, nullptr) != 0) throw std::system_error(errno, std::generic_category(), "timer_settime");
}

void Allotment::tally(std::uint64_t done) const {
  if (!tally_.empty()) launch::add_to_tally(tally_, done);
}

}  // namespace rankview::farm
