// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"
#include "checkpoint/key.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Writing the journals of a directory anew, while no job uses it. Whatever happens meanwhile, a crash or an error of the disk, all that was
// there is found, and the same can be done again.
namespace rankview::checkpoint {

// What became of it.
struct Rewritten {
  std::size_t journals = 0;  // that were there, and are one now
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes = 0;
  std::uint64_t results = 0;            // that are kept
  std::uint64_t failures = 0;           // likewise
  std::uint64_t nameless = 0;           // that are gone, since nobody knows any more what they are results of
  std::uint64_t damaged = 0;            // bytes that say nothing, and are gone
  std::vector<std::string> left_alone;  // journals that cannot be rewritten, and why
};

// Makes one journal of all, with each key once. `writer`: who does that. Throws UsageError for what is no checkpoint, or where a job uses
// it, and std::system_error.
Rewritten compact(Disk& disk, const std::string& directory, const Origin& writer);

struct Forgotten {
  Key key;
  std::string shown;         // what was called
  std::size_t journals = 0;  // that had it
};

// Does away with what is there of a key: `prefix`, hexadecimal, and no other's beginning. Throws as compact() does, and UsageError if there
// is no such key, or several.
Forgotten forget(Disk& disk, const std::string& directory, const std::string& prefix, const Origin& writer);

}  // namespace rankview::checkpoint
