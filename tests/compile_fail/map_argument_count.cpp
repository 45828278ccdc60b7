// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) {
  view.map_sync([](double a, double b) { return a + b; }, std::vector{1.0, 2.0});
}
