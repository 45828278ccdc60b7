// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::DirectView& view) {
  const std::vector<double> numbers{1, 2};
  view.apply_sync([](std::vector<double>& all) { all.clear(); }, rv::ref(numbers));
}
