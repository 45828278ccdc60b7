// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

auto misuse(const rv::LoadBalancedView& view) {
  return view.with({.checkpoint = "kept", .key = [](int) {}});
}
