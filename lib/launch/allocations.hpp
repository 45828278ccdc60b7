// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <utility>

namespace rankview::launch {

// What batch systems set in the environment of the jobs that they start, and how they are called.
inline constexpr std::array<std::pair<const char*, const char*>, 4> allocations{
    {{"SLURM_JOB_ID", "Slurm"}, {"PBS_JOBID", "PBS"}, {"PE_HOSTFILE", "Grid Engine"}, {"LSB_JOBID", "LSF"}}};

}  // namespace rankview::launch
