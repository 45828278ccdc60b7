// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

double round_up(double number);
float round_up(float number);

void misuse(const rv::LoadBalancedView& view) { view.apply_sync(round_up, 1.0); }
