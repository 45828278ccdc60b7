// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Slice {
  int count;
  double* data;
};

void misuse(const rv::LoadBalancedView& view, const Slice& slice) {
  view.apply_sync([](const Slice& given) { return given.count; }, slice);
}
