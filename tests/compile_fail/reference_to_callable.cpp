// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>

void misuse(const rv::LoadBalancedView& view) {
  const auto same = [](double number) { return number; };
  view.apply_sync(std::cref(same), 1.0);
}
