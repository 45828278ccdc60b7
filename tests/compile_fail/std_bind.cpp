// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>

void misuse(const rv::LoadBalancedView& view) { view.apply_sync(std::bind(twice, 2.0)); }
