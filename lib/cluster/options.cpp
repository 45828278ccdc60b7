// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/options.hpp"

#include <rankview/errors.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1::detail {
namespace {

// Nothing if it is empty.
std::optional<std::string> text_from_environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

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

// What an option may be called instead of by its number.
template <class T>
constexpr std::array<const char*, 0> names_of{};
template <>
constexpr std::array<const char*, 3> names_of<Keep>{"none", "failures", "all"};

template <class T>
std::optional<T> named_in_environment(const char* variable) {
  const auto text = text_from_environment(variable);
  if (!text) return std::nullopt;
  std::string known;
  for (std::size_t i = 0; i < names_of<T>.size(); ++i) {
    if (*text == names_of<T>[i]) return static_cast<T>(i);
    known += (known.empty() ? "" : i + 1 == names_of<T>.size() ? " or " : ", ") + std::string(names_of<T>[i]);
  }
  throw UsageError(std::string(variable) + " should be " + known + ", and is \"" + *text + "\"");
}

constexpr std::int64_t hour_in_us = 3'600'000'000;
constexpr std::int64_t most_seconds = 1'000'000'000;
constexpr int most_engine_slots = 65'535;
constexpr int most_captured = 1'000'000;

// One option: what is to be known of it but for its default, which Effective has.
template <class T>
struct Described {
  const char* variable;
  std::optional<T> Options::*programmed;
  T Effective::*value;
  std::int64_t most;
};

template <class T>
Described(const char*, std::optional<T> Options::*, T Effective::*, std::int64_t) -> Described<T>;

constexpr std::tuple all_options{
    Described{"RANKVIEW_IDLE_SPIN_US", &Options::idle_spin, &Effective::idle_spin, hour_in_us},
    Described{"RANKVIEW_IDLE_SLEEP_US", &Options::idle_sleep, &Effective::idle_sleep, hour_in_us},
    Described{"RANKVIEW_PULSE", &Options::pulse, &Effective::pulse, 1},
    Described{"RANKVIEW_SHUTDOWN_GRACE_MS", &Options::shutdown_grace, &Effective::shutdown_grace, hour_in_us},
    Described{"RANKVIEW_TEAM_GRACE_MS", &Options::team_grace, &Effective::team_grace, hour_in_us},
    Described{"RANKVIEW_FORWARD_RESULTS", &Options::forward_results, &Effective::forward_results, 2},
    Described{"RANKVIEW_TASK_SERVER", &Options::task_server, &Effective::task_server, 1},
    Described{"RANKVIEW_SLOTS", &Options::slots, &Effective::slots, most_engine_slots},
    Described{"RANKVIEW_CRASH_REPORT", &Options::crash_report, &Effective::crash_report, 1},
    Described{"RANKVIEW_STATUS_SIGNAL", &Options::status_signal, &Effective::status_signal, 1},
    Described{"RANKVIEW_DETECTION", &Options::detection, &Effective::detection, 1},
    Described{"RANKVIEW_SILENCE_MS", &Options::silence, &Effective::silence, hour_in_us},
    Described{"RANKVIEW_LEASE_MS", &Options::lease, &Effective::lease, hour_in_us},
    Described{"RANKVIEW_START_LIMIT_S", &Options::start_limit, &Effective::start_limit, 1'000'000},
    Described{"RANKVIEW_DRAIN_SIGNALS", &Options::drain_signals, &Effective::drain_signals, 1},
    Described{"RANKVIEW_WALLTIME", &Options::walltime, &Effective::walltime, most_seconds},
    Described{"RANKVIEW_WALLTIME_MARGIN_S", &Options::walltime_margin, &Effective::walltime_margin, most_seconds},
    Described{"RANKVIEW_HUB", &Options::hub, &Effective::hub, 0},
    Described{"RANKVIEW_KEEP", &Options::keep, &Effective::keep, 0},
    Described{"RANKVIEW_CAPTURE", &Options::capture, &Effective::capture, most_captured},
    Described{"RANKVIEW_STREAM_OUTPUT", &Options::stream_output, &Effective::stream_output, 1},
    Described{"RANKVIEW_EXECUTE_INCLUDE", &Options::execute_include, &Effective::execute_include, 0},
    Described{"RANKVIEW_BANNER", &Options::banner, &Effective::banner, 1},
};

template <class F>
void for_each_option(F f) {
  std::apply([&f](const auto&... option) { (f(option), ...); }, all_options);
}

template <class T>
std::string text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (names_of<T>.size() != 0) {
    return names_of<T>[static_cast<std::size_t>(value)];
  } else if constexpr (requires { value.count(); }) {
    return std::to_string(value.count());
  } else {
    return std::to_string(static_cast<int>(value));
  }
}

}  // namespace

Effective decide(const Options& options) {
  Effective effective;
  for_each_option([&]<class T>(const Described<T>& option) {
    if (const auto& programmed = options.*option.programmed) {
      effective.*option.value = *programmed;
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (auto named = text_from_environment(option.variable)) effective.*option.value = std::move(*named);
    } else if constexpr (names_of<T>.size() != 0) {
      if (const auto named = named_in_environment<T>(option.variable)) effective.*option.value = *named;
    } else if (const auto set = from_environment(option.variable, option.most)) {
      effective.*option.value = T(*set);
    }
  });
  if (effective.slots < 1 || effective.slots > most_engine_slots)
    throw UsageError("an engine has from 1 to " + std::to_string(most_engine_slots) + " slots (Options::slots, RANKVIEW_SLOTS), and not " +
                     std::to_string(effective.slots));
  if (effective.capture < 0 || effective.capture > most_captured)
    throw UsageError("of what a task prints from 0 to " + std::to_string(most_captured) +
                     " KiB are kept (Options::capture, RANKVIEW_CAPTURE), and not " + std::to_string(effective.capture));
  return effective;
}

std::string to_string(const Effective& options) {
  std::string lines;
  for_each_option([&](const auto& option) { lines += std::string("  ") + option.variable + "=" + text(options.*option.value) + "\n"; });
  return lines;
}

}  // namespace rankview::detail
