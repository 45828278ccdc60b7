// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rankview::doctor {

enum class Level : std::uint8_t {
  fine,
  note,     // worth knowing
  warning,  // something is slower than it need be, or will fail at some size
  problem,  // something does not work
};

// What was found, and what to do about it.
struct Finding {
  Level level = Level::fine;
  std::string topic;
  std::string what;
  std::string advice{};  // empty where there is nothing to be done
};
using Findings = std::vector<Finding>;

}  // namespace rankview::doctor
