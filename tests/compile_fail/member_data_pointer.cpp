// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <utility>

void misuse(const rv::LoadBalancedView& view) { view.map_sync(&std::pair<int, double>::first, std::vector<std::pair<int, double>>(2)); }
