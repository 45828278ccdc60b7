// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/frames.hpp"
#include "checkpoint/key.hpp"

#include <rankview/detail/buffer.hpp>
#include <rankview/detail/stream.hpp>
#include <rankview/key_function.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace rankview::checkpoint {
class Checkpoint;
}

namespace rankview::inline abi_0_1::detail {

class Call;

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
  KeyFunction key;             // of its arguments, where the user says what identifies an item
  bool strict = false;
  bool retry_failed = true;
  std::vector<checkpoint::Key> keys;  // of the items, under the controller's lock
};

// One of them has failed.
void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why);

// Makes the keys of a call's items.
class Keys {
 public:
  // Of what is called so, by that name and in that version.
  Keys(const Call& call, const checkpoint::Callable& as);

  // The key of an item whose arguments were written behind the mark, `skipped` bytes later. Throws what the user's function throws.
  [[nodiscard]] checkpoint::Key of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) const;

 private:
  const KeyFunction& function_;
  std::uint64_t seed_;
};

}  // namespace rankview::detail
