// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Links the plugin that brings a second runtime.
#include <cstdio>

int in_the_plugin();

[[maybe_unused]] static const int linked = std::printf("plugin %d\n", in_the_plugin());
