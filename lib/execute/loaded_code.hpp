// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "execute/context.hpp"

#include <rankview/detail/execute.hpp>

#include <string>

namespace rankview::execute {

// The code that came as these bytes, which the process opens once and never closes: variables may be of its types. Thread-safe. Throws
// UsageError if it cannot be opened.
Entry loaded_code(const detail::CompiledCode& code);

// Where the code was that has just thrown in this thread, as in " (<code>, line 3)", or nothing. Tells it once.
std::string take_place_of_failure();

}  // namespace rankview::execute
