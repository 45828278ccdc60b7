// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>

void misuse(const rv::DirectView& view) { double sum = view.reduce_all_sync("x", std::plus<>()); }
