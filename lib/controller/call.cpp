// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/call_life.hpp"
#include "controller/controller.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>

// What every call has, and what templates check of the arguments of one.
namespace rankview::inline abi_0_1::detail {

Call::Call(bool has_no_user_code) : plain(has_no_user_code) {
  static_assert(sizeof(CallLife) <= life_bytes && alignof(CallLife) <= alignof(std::uint64_t));
  std::construct_at(reinterpret_cast<CallLife*>(life_));
}

Call::~Call() { std::destroy_at(&life()); }

std::byte* Call::room(std::uint64_t) { return nullptr; }

void Call::save(std::uint64_t, Writer&) {}

bool done(const Call& call) noexcept { return call.life().done(); }

std::size_t item_count(const Call& call) noexcept { return call.life().items.size(); }

std::size_t ended_count(const Call& call) noexcept { return static_cast<std::size_t>(call.life().ended); }

CallHandle::CallHandle(const std::shared_ptr<Call>& call) : slot_(call->life().slot) { slot_->handles.store(1, std::memory_order_relaxed); }

void let_go(Call& call) noexcept { call.controller->abandon(call); }

std::string listed(std::span<const std::uint64_t> counts) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(counts.size(), most); ++i) text += (i == 0 ? "" : ", ") + std::to_string(counts[i]);
  return text + (counts.size() > most ? ", ..." : "");
}

void check_lengths(std::span<const std::uint64_t> lengths) {
  if (std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to<>()) == lengths.end()) return;
  throw UsageError("map over ranges of different lengths: " + listed(lengths) +
                   "; those that know their length must have the same, and rv::repeat(x) goes with any");
}

void check_round_robin(const std::string& what, std::span<const std::uint64_t> counts) {
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != part_size(total, counts.size(), i))
      throw UsageError(what + ": parts that were dealt round robin differ by one element at most, the longer ones first; these have " +
                       listed(counts));
  }
}

void throw_nobody() { throw UsageError("the view has no engines: its list of targets is empty, and there is nobody to run this"); }

std::size_t place_of(std::int64_t index, std::size_t count) {
  const std::int64_t place = index < 0 ? index + static_cast<std::int64_t>(count) : index;
  if (place < 0 || place >= static_cast<std::int64_t>(count))
    throw std::out_of_range("there is no element " + std::to_string(index) + " in a result of " + std::to_string(count));
  return static_cast<std::size_t>(place);
}

}  // namespace rankview::detail
