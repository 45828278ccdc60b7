// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

// What is said to the scheduler, and what it says.
namespace rankview::scheduler {

using Nanoseconds = std::int64_t;

// To whom among the engines that may take more.
enum class Policy : std::uint8_t {
  least_load,  // who has nothing to do before who will soon have nothing to do
  lru,         // who was handed something longest ago
  random,      // any
  two_bin,     // of two drawn at random the one with less in hand
  weighted,    // drawn with the inverse of what they have in hand as weight
  pack,        // who has the fewest slots left of those that have enough
};

// Engines that an item is kept from.
struct Avoid {
  std::vector<int> tried;    // it has failed there: they come last
  std::vector<int> refused;  // it cannot run there
};

// Consecutive items of one call, cut into `chunks` balanced chunks that are never split.
struct Work {
  std::uint64_t call = 0;  // calls are numbered in the order in which they are to start
  std::uint64_t kind = 0;  // calls of one kind take about equally long an item
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;       // at most count; equal to it: every item by itself
  std::uint64_t item_bytes = 0;   // encoded size of an item, about
  std::uint64_t submitter = 0;    // who submitted it: what different ones submit takes turns
  std::uint32_t hwm = 0;          // an engine is handed more while it has fewer items than this; 0: as durations suggest
  std::int32_t priority = 0;      // higher ones first
  std::uint16_t slots = 0;        // that an item, or a chunk, takes of an engine beside others; 0: it takes the engine, alone
  std::uint16_t least_slots = 0;  // engines that have fewer are not for it; at least `slots`
  Policy policy = Policy::least_load;
  bool alone = false;                    // not to be merged with its neighbours, nor handed out with others
  std::shared_ptr<const Avoid> avoid{};  // null: nobody
};

// Who may run a piece of work. Refers to the caller's vectors.
struct Placement {
  enum class Kind : std::uint8_t { anyone, among, bound, together, teams };
  Kind kind = Kind::anyone;
  int engine = -1;                                       // bound: the only one
  const std::vector<int>* engines = nullptr;             // among: any of them. together: item i by the i-th, all at once
  const std::vector<std::vector<int>>* teams = nullptr;  // any of these, all its engines together

  static Placement among(const std::vector<int>& engines) { return {Kind::among, -1, &engines, nullptr}; }
  static Placement bound(int engine) { return {Kind::bound, engine, nullptr, nullptr}; }
  static Placement together(const std::vector<int>& engines) { return {Kind::together, -1, &engines, nullptr}; }
  static Placement to(const std::vector<std::vector<int>>& teams) { return {Kind::teams, -1, nullptr, &teams}; }
};

// An engine is to run items [begin, end) of a call.
struct Grant {
  int engine = -1;
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool slow = false;  // an item may take long: what the engine has done before should not wait for it
};

// Items [begin, end) of a call.
struct Range {
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool whole = false;  // not to be split

  friend bool operator==(const Range&, const Range&) = default;
};

// An engine is to give back what it has not begun of these.
struct Recall {
  int engine = -1;
  std::vector<Range> ranges;
};

struct Limits {
  // As much work as is handed to an engine at a time, and in all, by measured durations.
  Nanoseconds batch = 200'000;
  Nanoseconds in_hand = 300'000;
  // For more engines than this, these are longer in proportion: in a batch's time each engine is sent a message and sends one, and handling
  // so many must not take longer.
  std::size_t engines = 200;
  // Items longer than this are not handed out ahead of need.
  Nanoseconds longest_ahead = 100'000;
  std::uint64_t batch_bytes = 128 * 1024;
  // Of work that only one engine may do, so many items are on their way or in its queue.
  std::uint64_t bound_items = 256;
  // Items that take less are no reason to send what was done before.
  Nanoseconds slow = 50'000;
  // An engine that has ended nothing for so long is taken to sit in a long item.
  Nanoseconds overdue = 300'000;
  // The same while nobody else has nothing to do. What waits there is older than what others begin meanwhile, so it must not wait for long;
  // but an engine that has just ended a long item is not to be left without the next.
  Nanoseconds stuck = 3'000'000;
};

// What one engine has.
struct Load {
  std::uint64_t waiting = 0;     // bound to this engine and not handed out
  std::uint64_t handed_out = 0;  // on its way there, queued there, or running
  std::uint64_t ended = 0;
};

}  // namespace rankview::scheduler
