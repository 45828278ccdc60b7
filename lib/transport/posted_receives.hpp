// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>

namespace rankview::transport {

// How many receives, those within collectives included, this process waits for on MPI_COMM_WORLD, as Open MPI tells tools (MPI_T). 0 where
// MPI does not tell. Needs MPI_THREAD_MULTIPLE.
std::size_t posted_receives_on_world();

}  // namespace rankview::transport
