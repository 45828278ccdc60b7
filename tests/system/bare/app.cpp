// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// The one translation unit that brings the runtime along.
#include <rankview/embedded.hpp>

#include "main.cpp"
