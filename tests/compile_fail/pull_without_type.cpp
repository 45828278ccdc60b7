// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(rv::Client& rc) { double number = rc[0].pull_sync("x"); }
