// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) {
  double sum = 0;
  view.map_sync([&](double number) { sum += number; }, std::vector{1.0, 2.0});
}
