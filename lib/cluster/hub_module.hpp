// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "hub/task_database.hpp"

#include <memory>
#include <string>

namespace rankview::inline abi_0_1 {

// Loads the module of the task database, and opens that. Throws UsageError if there is no module, or the file cannot be one.
std::unique_ptr<hub::TaskDatabase> open_hub(const std::string& path);

}  // namespace rankview
