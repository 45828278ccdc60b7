// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::DirectView& view) { view.pull_sync<int, double>({"x", "y", "z"}); }
