// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <span>
#include <string>

namespace rankview::isolation {

// What was being called, a line each, the innermost first: names where the module tells them, else the place in its file. The addresses are
// of a process that has the code where this one has it.
std::string trace_text(std::span<void* const> addresses);

}  // namespace rankview::isolation
