// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

template <class T>
T triple(T number) {
  return 3 * number;
}

void misuse(const rv::DirectView& view) { view.apply(triple, 1.0); }
