// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(rv::Cluster& cluster) {
  cluster.run([](int) {});
}
