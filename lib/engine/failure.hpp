// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

#include <string>

namespace rankview::engine {

// What can be sent of the exception that is being handled, whatever it is.
wire::Failure describe_current_exception();

// Stands for an exception of the user's that has been described and destroyed where no lock was held: what it says, and how it ends, is
// code of theirs.
struct Described {
  wire::Failure failure;
};

// Type, message and, if it comes from a task, place of the exception that is being handled, which nobody else will.
std::string describe_uncaught();

}  // namespace rankview::engine
