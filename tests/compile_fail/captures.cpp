// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view, double factor) {
  view.apply_sync([factor](double number) { return factor * number; }, 1.0);
}
