// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

auto misuse(const rv::AsyncResult<double>& result) {
  return result.then([](const std::string& text) { return text; });
}
