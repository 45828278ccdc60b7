// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <boost/mpi/communicator.hpp>

void misuse(const rv::DirectView& view) {
  view.apply_sync([](boost::mpi::communicator engines, double number) { return engines.size() * number; }, 1.0);
}
