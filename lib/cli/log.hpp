// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/printer.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace rankview::cli {

// What somebody wants to see of what the commands of farms have written.
struct LogWish {
  std::string directory;               // the checkpoint of the farm
  std::vector<std::uint64_t> numbers;  // of commands, in their list; none: a line each
  bool failed = false;                 // only of those that have failed
  bool print = false;                  // what they have written instead of lines
};

// Prints it: of each number what was run last. Gives the exit code: 1 if a number is unknown, or something is damaged. Throws
// std::system_error, and UsageError where there is nothing.
int show_log(const LogWish& wish, farm::TextSink& out, farm::TextSink& err);

}  // namespace rankview::cli
