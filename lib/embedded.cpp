// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// What the target rankview::embedded compiles along with the program.
#include <rankview/embedded.hpp>
