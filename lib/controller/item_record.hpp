// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/metadata.hpp>

#include <cstdint>

namespace rankview::inline abi_0_1::detail {

// What is known of one item; a map of ten million has ten million of these.
struct ItemRecord {
  std::int64_t started = 0;  // nanoseconds of the wall clock, 0 for not yet
  std::int64_t completed = 0;
  std::int64_t received = 0;
  std::int32_t engine = -1;
  std::uint16_t attempts = 0;
  Status status = Status::waiting;
};

}  // namespace rankview::detail
