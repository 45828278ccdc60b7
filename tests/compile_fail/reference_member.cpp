// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Job {
  const std::vector<double>& mesh;
  int step;
};

void misuse(const rv::LoadBalancedView& view, const Job& job) {
  view.apply_sync([](const Job& given) { return given.step; }, job);
}
