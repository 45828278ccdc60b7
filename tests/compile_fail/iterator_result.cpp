// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <algorithm>

void misuse(const rv::EngineView& view) {
  view.apply_sync([](std::vector<double>& x) { return std::max_element(x.begin(), x.end()); }, rv::ref("x"));
}
