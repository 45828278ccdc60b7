// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/checkpointed.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// What is looked for of a call's items in its checkpoint while they are encoded.
class CheckpointedItems {
 public:
  explicit CheckpointedItems(const Call& call);

  // Looks for the result of the next item, whose arguments were written behind the mark, `skipped` bytes later. If it is there, it lies
  // with those recalled.
  bool look_up(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped);

  // So many have been handed over: whether it is time to see to the engines. Where what was found and what is new alternate, each is handed
  // over by itself.
  bool handed_over(std::size_t items) {
    constexpr std::size_t many = 256;
    handed_over_ += items;
    return handed_over_ >= many && std::exchange(handed_over_, 0) != 0;
  }

  std::vector<checkpoint::Key> keys;  // of the block that is being filled
  Recalled recalled;

 private:
  void explain(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, const std::string& failure) const;

  const Call& call_;
  const Checkpointed& in_;
  const Keys keys_;
  const bool explains_;
  std::uint64_t items_ = 0;  // looked for so far
  std::size_t handed_over_ = 0;
};

}  // namespace rankview::detail
