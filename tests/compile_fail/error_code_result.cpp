// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <system_error>

void misuse(const rv::EngineView& view) {
  view.apply_sync([] { return std::make_error_code(std::errc::invalid_argument); });
}
