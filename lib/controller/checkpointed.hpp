// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/frames.hpp"
#include "checkpoint/key.hpp"

#include <rankview/detail/buffer.hpp>
#include <rankview/detail/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace rankview::checkpoint {
class Checkpoint;
}

namespace rankview::inline abi_0_1::detail {

namespace checkpoint = rankview::checkpoint;

// Results of earlier runs, of consecutive items of a call, behind each other.
struct Recalled {
  struct Part {
    checkpoint::Key key;
    std::size_t size = 0;
    bool failed = false;  // it is the text of an error
  };

  std::vector<Part> parts;
  Buffer bytes;
};

// What a call has whose results are looked for and kept in a checkpoint (Flags::checkpoint). Set before the submission, but for the keys.
struct Checkpointed {
  std::shared_ptr<checkpoint::Checkpoint> in;
  checkpoint::Callable as;
  std::uint32_t callable = 0;  // its number there
  std::uint64_t seed = 0;      // of its items' keys
  bool strict = false;
  bool retry_failed = true;
  std::vector<checkpoint::Key> keys;  // of the items, under the controller's lock
};

// One of them has failed.
void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why);

// The seed for the keys of what is called so, with the state of the callable.
std::uint64_t seed_of(const checkpoint::Callable& as, std::span<const std::byte> state);
// The key of an item whose arguments were written behind the mark, `skipped` bytes later.
checkpoint::Key key_of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, std::uint64_t seed);

}  // namespace rankview::detail
