// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/key.hpp"

#include <rankview/errors.hpp>

#if __has_include(<xxhash.h>)
#define XXH_INLINE_ALL
#include <xxhash.h>
#define RANKVIEW_HAS_XXHASH 1
#else
#define RANKVIEW_HAS_XXHASH 0
#endif

namespace rankview::checkpoint {

#if RANKVIEW_HAS_XXHASH

Key key_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.high64, hash.low64};
}

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

#else

namespace {

[[noreturn]] void refuse_to_hash() {
  throw UsageError("Flags::checkpoint needs <xxhash.h> where rankview is compiled (Debian's libxxhash-dev)");
}

}  // namespace

Key key_of(std::span<const std::byte>, std::uint64_t) { refuse_to_hash(); }

std::uint64_t checksum(std::span<const std::byte>, std::uint64_t) { refuse_to_hash(); }

#endif

}  // namespace rankview::checkpoint
