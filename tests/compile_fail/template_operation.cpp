// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <algorithm>

void misuse(const rv::DirectView& view) { double highest = view.reduce_sync<double>("x", std::max); }
