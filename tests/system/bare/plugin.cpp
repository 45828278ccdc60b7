// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// A shared library that wrongly brings a runtime of its own to a program that has one.
#include <rankview/embedded.hpp>

int in_the_plugin();
int in_the_plugin() { return 1; }
