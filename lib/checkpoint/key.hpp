// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rankview::checkpoint {

// Names a piece of work: what is called, with which arguments, in which version. The same in every run, build and order.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend auto operator<=>(const Key&, const Key&) = default;
};

// XXH3 (Collet, github.com/Cyan4973/xxHash) of some bytes, with what has gone before as seed. Both throw UsageError where rankview was
// compiled without <xxhash.h>.
[[nodiscard]] Key key_of(std::span<const std::byte> bytes, std::uint64_t seed);
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace rankview::checkpoint
