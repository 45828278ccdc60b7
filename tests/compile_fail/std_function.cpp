// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>

void misuse(const rv::LoadBalancedView& view) {
  const std::function<double(double)> function = twice;
  view.apply_sync(function, 1.0);
}
