// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <cmath>

void misuse(const rv::LoadBalancedView& view) { std::vector<double> roots = view.map_sync(std::sqrt, std::vector{1.0, 4.0}); }
