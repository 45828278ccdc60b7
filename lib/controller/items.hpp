// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_life.hpp"

#include <rankview/detail/call.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>

// What the controller's parts ask of a call's items.
namespace rankview::inline abi_0_1::detail {

inline bool has_ended(Status status) { return status != Status::waiting && status != Status::handed_out; }

// Whether its items may run on any of several engines or teams.
inline bool in_pool(const Call& call) { return call.spread == Spread::pool || call.spread == Spread::teams; }

// Whether the client has given it up: it, or the call.
inline bool given_up(const Call& call, std::uint64_t item) { return call.life().aborted || call.life().more->given_up->contains(item); }

// Whether its results are read when they arrive: somebody may ask for them, or they are kept.
inline bool reads_results(const Call& call) { return !call.life().abandoned || call.life().saves; }

// Whether the database of tasks may have an item's arguments, and its result: it is an apply() of one engine's, or of a map.
inline bool can_be_kept(const Call& call) {
  const bool alone = call.spread == Spread::pool || call.spread == Spread::blocks || call.spread == Spread::each;
  return alone && !call.communicator && call.function.thunk != nullptr && call.function.thunk->result != nullptr;
}

// The block that holds the arguments of an item.
template <class C>  // Call, or const Call
auto block_of(C& call, std::uint64_t item) {
  if (call.same_arguments) return call.life().blocks.begin();
  const auto behind = std::upper_bound(call.life().blocks.begin(), call.life().blocks.end(), item,
                                       [](std::uint64_t i, const ArgumentBlock& block) { return i < block.first; });
  return std::prev(behind);
}

}  // namespace rankview::detail
