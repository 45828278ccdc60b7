// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <boost/mpi/communicator.hpp>

void misuse(const rv::DirectView& view) {
  view.map_sync([](const boost::mpi::communicator& engines, int i) { return engines.size() * i; }, std::vector{1, 2});
}
