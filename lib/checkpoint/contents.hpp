// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"
#include "checkpoint/index.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rankview::checkpoint {

inline constexpr std::string_view journal_ending = ".journal";
// Whoever uses a directory holds this file in it, and who rewrites journals holds it alone.
inline constexpr std::string_view used_name = "in-use";

// A journal that a later version has written.
struct OfLaterVersion {
  std::uint32_t format;
};

// How far a journal was read.
struct ReadSoFar {
  std::uint64_t end = 0;
  std::vector<bool> known;  // callables, by their numbers there
  std::uint64_t results = 0;
  std::uint64_t failures = 0;
  std::uint64_t nameless = 0;  // of both, whose callable is not known
};

// What the journals of a directory hold.
struct Contents {
  Index index;
  std::map<std::pair<std::string, std::string>, std::string> result_types;  // by name and version of what is called

  // Adds what is in a journal beyond what was read of it. Throws OfLaterVersion, and what reading it throws; then it has been read so far.
  void read(File& file, std::uint32_t journal, ReadSoFar& so_far, Damage& damage);
};

}  // namespace rankview::checkpoint
