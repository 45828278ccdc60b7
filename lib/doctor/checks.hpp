// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "doctor/finding.hpp"
#include "doctor/host.hpp"

namespace rankview::doctor {

// What can be seen of a host without starting MPI.
Findings examine(const Host& host);

}  // namespace rankview::doctor
