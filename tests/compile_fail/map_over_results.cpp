// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) { view.map_sync(twice, std::vector{view.apply(twice, 1.0), view.apply(twice, 2.0)}); }
