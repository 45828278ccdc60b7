// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/key.hpp"
#include "farm/captured.hpp"
#include "farm/needs.hpp"
#include "farm/template.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace rankview::farm {

// A command that is to be run.
struct Job {
  std::uint64_t number = 0;  // in the input, from 1
  std::uint64_t place = 0;   // among those that are run, from 0
  int attempt = 1;
  Expanded command;
  std::string tag;      // that goes before each line of its output
  std::string results;  // the directory that gets its output; empty for none
  Needs needs;
  int failed_on = -1;                    // the engine that is suspected of its failure there, -1 for none
  std::string trouble;                   // why it cannot be run, whoever would do so; empty if it can
  std::optional<checkpoint::Key> key{};  // under which it is kept that it is done
};

// Why it has ended.
enum class Cause : std::uint8_t {
  itself,
  timeout,  // it was killed, since it took too long
  memory,   // likewise, since it had more memory than it may have
  killed,   // it was killed, since the farm ends
  refused,  // it could not be started
};

// How it ended.
struct End {
  Job job;
  Cause cause = Cause::itself;
  int status = 0;            // its exit status
  int signal = 0;            // that has ended it, or 0
  std::string trouble;       // why it could not be started
  std::int64_t started = 0;  // nanoseconds since the epoch
  std::chrono::nanoseconds took{0};
  std::uint64_t memory = 0;  // bytes it had at most, as far as that was looked at
  unsigned slot = 0;         // from 1
  std::string command;       // as it was run
  std::string host;          // empty for the one that the farm is on
  Captured out;
  Captured err;

  [[nodiscard]] bool succeeded() const { return cause == Cause::itself && status == 0 && signal == 0; }
};

}  // namespace rankview::farm
