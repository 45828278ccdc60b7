// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>

void misuse(const rv::LoadBalancedView& view) {
  view.map_reduce_sync([](double) {}, std::plus<>(), std::vector{1.0, 2.0});
}
