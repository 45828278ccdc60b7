// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::TeamView& view) { view.map_sync(twice, std::vector{1.0, 2.0}); }
