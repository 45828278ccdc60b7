// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <boost/mpi/communicator.hpp>

void misuse(const rv::DirectView& view) {
  view.apply_sync([](double number, const boost::mpi::communicator& engines) { return engines.size() * number; }, 1.0);
}
