// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

namespace rankview::engine {

// What can be sent of the exception that is being handled, whatever it is.
wire::Failure describe_current_exception();

}  // namespace rankview::engine
