// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "plain.hpp"

#ifndef FACTOR
#define FACTOR 3
#endif

int plain_scale(int n) { return FACTOR * n; }

PlainFunction plain_offset() {
  return [](int n) { return FACTOR + n; };
}
