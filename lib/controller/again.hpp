// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/looked_up.hpp>

#include <cstdint>

namespace rankview::inline abi_0_1::detail {

// One task to run again, whatever its result is, on no terms: not isolated, and for as long as it takes. `run`: 0 for the latest that has
// kept it. Throws UsageError if it cannot be run.
Again find_one_again(Controller& controller, std::int64_t run, const TaskId& task);

}  // namespace rankview::detail
