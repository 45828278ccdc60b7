// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::launch {

// With RANKVIEW_ENGINES=n in the environment and no launcher above this process: replaces it by itself under mpirun, with n engines.
// Returns if there is nothing to do. Throws UsageError for a number that is none, or if there is no mpirun.
void start_under_mpirun(int argc, char** argv);

}  // namespace rankview::launch
