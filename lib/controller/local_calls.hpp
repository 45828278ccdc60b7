// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <memory>

namespace rankview::inline abi_0_1::detail {

class Controller;

// From here on to its end, running_controller() finds the run of this controller.
void note_run(const std::shared_ptr<Controller>& controller);

}  // namespace rankview::detail
