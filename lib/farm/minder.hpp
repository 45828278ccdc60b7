// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::farm {

// Splits this process in two: the caller goes on in a child, and what was this process waits for that, passes signals on to it, and leaves
// with its exit code. Should the child be killed, whatever it has started is killed, too; should the parent be, the child is told to end.
// Before there are threads. Throws std::system_error.
void go_on_minded();

}  // namespace rankview::farm
