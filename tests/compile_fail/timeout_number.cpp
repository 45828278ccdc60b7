// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

void misuse(const rv::EngineView& engine) { engine.apply(twice, 1.0).get(5); }
