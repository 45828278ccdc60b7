// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "link.hpp"

namespace linked {
Seen seen_second() { return {thunk_of(&shared_function, 1.0), thunk_of(lambda, 1), &rankview::all}; }
}  // namespace linked
