// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <cmath>

void misuse(const rv::LoadBalancedView& view) { auto next = view.apply(twice, 1.0).then(std::sqrt); }
