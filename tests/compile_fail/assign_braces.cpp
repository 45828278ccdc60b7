// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(rv::Client& rc) { rc[0]["x"] = {1.0, 2.0}; }
