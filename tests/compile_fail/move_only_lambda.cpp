// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <utility>

void misuse(const rv::LoadBalancedView& view) {
  auto owned = std::make_unique<double>(1);
  view.apply_sync([owned = std::move(owned)] { return *owned; });
}
