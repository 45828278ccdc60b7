// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::LoadBalancedView& view) {
  view.apply([](const std::vector<double>& all) { return all.size(); }, rv::borrow(std::vector<double>{1, 2})).get();
}
