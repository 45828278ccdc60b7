// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "world.hpp"

#include <rankview/rankview.hpp>

namespace sim {

// What one thread of a client does: calls of all kinds, drawn from the world's seed, with each result checked. Throws std::logic_error for
// what is not right. `most_slots`: of an engine. `thread`: which one.
void work(rankview::Client& client, int steps, int most_slots, int thread);

// Values of a user's type that are alive.
int values_alive();

}  // namespace sim
