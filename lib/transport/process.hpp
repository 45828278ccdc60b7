// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>

namespace rankview::transport {

// Ends this process at once, without MPI_Finalize, which makes mpirun end the job. For when going on would hang.
[[noreturn]] void end_process(int code, const std::string& why);

}  // namespace rankview::transport
