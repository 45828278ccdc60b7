// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "fixture.hpp"

#include <stdexcept>
#include <string>

// Tasks that wait at a gate, and tasks that fail.
namespace test {

inline int pass(const std::string& path, int n) {
  Gate::pass(path);
  return n;
}

// An item that waits at the gate if there is one.
inline int pass_if(const std::string& path, int n) { return path.empty() ? n : pass(path, n); }

inline int negative_fails(int n) {
  if (n < 0) throw std::runtime_error("negative: " + std::to_string(n));
  return n;
}

}  // namespace test
