// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>

namespace rankview::execute {

// The header that every snippet begins with: the standard's headers, and what it reaches the engine by. It has nothing of rankview's own
// headers, so that it takes little time to compile, and needs no file but what the compiler brings.
std::string prelude();

}  // namespace rankview::execute
