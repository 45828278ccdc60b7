// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

#include <string>

namespace rankview::engine {

// What can be sent of the exception that is being handled, whatever it is.
wire::Failure describe_current_exception();

// Type, message and, if it comes from a task, place of the exception that is being handled, which nobody else will.
std::string describe_uncaught();

}  // namespace rankview::engine
