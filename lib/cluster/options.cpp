// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/options.hpp"

#include <rankview/errors.hpp>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

namespace rankview::inline abi_0_1::detail {
namespace {

std::optional<std::int64_t> from_environment(const char* name, std::int64_t most) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stopped != end || value < 0 || value > most)
    throw UsageError(std::string(name) + " should be a number from 0 to " + std::to_string(most) + ", and is \"" + text + "\"");
  return value;
}

constexpr std::int64_t hour_in_us = 3'600'000'000;

template <class T>
void decide(T& effective, const std::optional<T>& programmed, const char* name, std::int64_t most) {
  if (programmed) {
    effective = *programmed;
  } else if (const auto set = from_environment(name, most)) {
    effective = T(*set);
  }
}

}  // namespace

Effective decide(const Options& options) {
  Effective effective;
  decide(effective.idle_spin, options.idle_spin, "RANKVIEW_IDLE_SPIN_US", hour_in_us);
  decide(effective.idle_sleep, options.idle_sleep, "RANKVIEW_IDLE_SLEEP_US", hour_in_us);
  decide(effective.pulse, options.pulse, "RANKVIEW_PULSE", 1);
  decide(effective.shutdown_grace, options.shutdown_grace, "RANKVIEW_SHUTDOWN_GRACE_MS", hour_in_us);
  decide(effective.team_grace, options.team_grace, "RANKVIEW_TEAM_GRACE_MS", hour_in_us);
  decide(effective.forward_results, options.forward_results, "RANKVIEW_FORWARD_RESULTS", 2);
  decide(effective.banner, options.banner, "RANKVIEW_BANNER", 1);
  return effective;
}

std::string to_string(const Effective& options) {
  return "  RANKVIEW_IDLE_SPIN_US=" + std::to_string(options.idle_spin.count()) +
         "\n  RANKVIEW_IDLE_SLEEP_US=" + std::to_string(options.idle_sleep.count()) +
         "\n  RANKVIEW_PULSE=" + std::to_string(static_cast<int>(options.pulse)) +
         "\n  RANKVIEW_SHUTDOWN_GRACE_MS=" + std::to_string(options.shutdown_grace.count()) +
         "\n  RANKVIEW_TEAM_GRACE_MS=" + std::to_string(options.team_grace.count()) +
         "\n  RANKVIEW_FORWARD_RESULTS=" + std::to_string(static_cast<int>(options.forward_results)) +
         "\n  RANKVIEW_BANNER=" + std::to_string(static_cast<int>(options.banner)) + "\n";
}

}  // namespace rankview::detail
