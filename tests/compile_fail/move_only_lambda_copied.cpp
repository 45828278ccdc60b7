// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) {
  const auto lambda = [owned = std::make_unique<double>(1)] { return *owned; };
  view.apply_sync(lambda);
}
