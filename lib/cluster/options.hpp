// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/options.hpp>

#include <chrono>
#include <string>

namespace rankview::inline abi_0_1::detail {

// What a program ends with that has drained, so that its job script starts it again: EX_TEMPFAIL of sysexits.h.
inline constexpr int exit_to_requeue = 75;

// Options with everything decided.
struct Effective {
  std::chrono::microseconds idle_spin{50};
  std::chrono::microseconds idle_sleep{1000};
  bool pulse = true;
  std::chrono::milliseconds shutdown_grace{10'000};
  std::chrono::milliseconds team_grace{60'000};
  ForwardResults forward_results = ForwardResults::when_nearer;
  bool task_server = true;
  int slots = 1;
  bool crash_report = true;
  bool status_signal = true;
  bool detection = true;
  bool drain_signals = true;
  std::chrono::milliseconds silence{2000};
  std::chrono::milliseconds lease{30'000};
  std::chrono::seconds start_limit{300};
  std::chrono::seconds walltime{0};
  std::chrono::seconds walltime_margin{60};
  std::string hub;
  Keep keep = Keep::failures;
  int capture = 0;
  bool stream_output = false;
  bool banner = false;
  std::string execute_include;
};

// The program's value, else the environment's, else the default. Throws UsageError naming the variable and what it should hold.
Effective decide(const Options& options);

// One line for each option: its variable and its effective value.
std::string to_string(const Effective& options);

}  // namespace rankview::detail
