// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) {
  double sum = view.map_reduce_sync(
      twice, [](double a) { return a; }, std::vector{1.0, 2.0});
}
