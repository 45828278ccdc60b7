// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <mpi.h>

void misuse(const rv::DirectView& view) {
  view.apply_sync([](auto engines) { return MPI_Barrier(engines); }, MPI_COMM_WORLD);
}
