// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>

namespace rankview::liveness {

// A rehearsal: engines die and stall at random moments.
class Chaos {
 public:
  struct Settings {
    double kill = 0;  // the chance, for each task that an engine begins, that it is killed
    double hang = 0;  // that it is stopped for some seconds
    std::uint64_t seed = 0;
  };
  // As RANKVIEW_CHAOS has it: `kill:0.01,hang:0.001,seed:7`, each of which may be missing. Throws UsageError.
  static Settings read(const std::string& text);

  Chaos(const Settings& settings, int rank) : settings_(settings), random_(settings.seed * 1000 + static_cast<std::uint64_t>(rank)) {}

  // A task is about to begin; it may be that this does not return, or late.
  void strike();

 private:
  const Settings settings_;
  std::mt19937_64 random_;
};

}  // namespace rankview::liveness
