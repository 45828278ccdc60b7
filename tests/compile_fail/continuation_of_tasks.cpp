// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

auto misuse(const rv::LoadBalancedView& view) {
  return view.apply(twice, 1.0).then([view](double number) { return view.apply(twice, number); });
}
