// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/checkpointed.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// What is looked for of a call's items in its checkpoint while they are encoded.
class CheckpointedItems {
 public:
  explicit CheckpointedItems(const Call& call);

  // Looks for the result of the next item, whose arguments were written behind the mark, `skipped` bytes later. If it is there, it lies
  // with those recalled.
  bool look_up(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped);

  std::vector<checkpoint::Key> keys;  // of the block that is being filled
  Recalled recalled;

 private:
  void explain(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, const std::string& failure) const;

  const Call& call_;
  const Checkpointed& in_;
  const Keys keys_;
  const bool explains_;
  std::uint64_t items_ = 0;  // looked for so far
};

}  // namespace rankview::detail
