// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <sys/types.h>
#include <string>

namespace rankview::transport {

// The MPI function in which a thread of this process waits, for instance "MPI_Barrier". Empty if it does something else, or sleeps, or
// cannot be asked. It is asked by a signal, SIGURG, if the program leaves that alone, and only while it is on a processor, where no system
// call of its is cut short.
std::string mpi_call_of(pid_t thread);

}  // namespace rankview::transport
