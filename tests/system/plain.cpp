// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "plain.hpp"

#ifndef FACTOR
#define FACTOR 3
#endif

#ifdef OTHER_CODE
// Something else lies in front.
extern "C" int plain_other(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += (n % (i + 2)) * (sum ^ i);
  return sum;
}
#endif

int plain_scale(int n) { return FACTOR * n; }

PlainFunction plain_offset() {
  return [](int n) { return FACTOR + n; };
}
