// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <vector>

// A type of the program's own, which code that is executed knows by Options::execute_include.
namespace app {

struct Particle {
  double mass;
  std::vector<double> path;
};

inline double weight(const Particle& particle) { return 10 * particle.mass; }

}  // namespace app
