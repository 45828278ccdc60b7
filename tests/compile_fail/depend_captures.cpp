// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

auto misuse(const rv::LoadBalancedView& view, int least) {
  return view.with({.depend = [least] { return least > 2; }});
}
