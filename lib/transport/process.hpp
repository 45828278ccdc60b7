// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>

namespace rankview::transport {

// Ends this process at once, without MPI_Finalize, which makes mpirun end the job. For when going on would hang. There is no other way out
// of the process in this library.
[[noreturn]] void end_process(int code, const std::string& why);

// What a simulation does instead, where several processes are in one. Must not return.
using WayOut = void (*)(int code, const std::string& why);
void set_way_out(WayOut way_out);

// What end_process() is to do before it says why.
void set_before_end(void (*act)());

}  // namespace rankview::transport
