// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::DirectView& view) { std::vector<double> numbers = view["x"].get(); }
