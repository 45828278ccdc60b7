// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/task_server.hpp"

namespace rankview::inline abi_0_1 {

// This process's, null if it has none. A child that was forked has none.
isolation::TaskServer* task_server();
// Ends it, and waits for that.
void drop_task_server();

}  // namespace rankview
