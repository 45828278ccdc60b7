// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <cmath>

double task() { return rv::this_task::submit(std::sqrt, 2.0).get(); }
