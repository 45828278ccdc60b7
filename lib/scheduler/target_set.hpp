// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/entries.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

// Sets of engines, and the queues that these draw from.
namespace rankview::scheduler {

// What comes first: by priority, then by turns, then by age; of one call, by the queue it stands in.
struct Key {
  std::int64_t urgency = 0;  // lower is sooner
  double turn = 0;
  std::uint64_t call = 0;
  std::uint64_t queue = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Work of a target set that is handed out one after the other: of one priority and submitter, kept from the same engines, of one size.
using QueueId = std::tuple<std::int32_t, std::uint64_t, std::vector<int>, std::uint16_t>;
struct Queue {
  TargetSet* targets = nullptr;
  std::uint64_t number = 0;  // in the order in which they were made
  QueueId id;
  Entries entries;
  double turn = 0;  // nanoseconds of work that were handed out of it, as fair queueing counts them
  int keeps = -1;   // the engine that is kept for it
  bool runnable = false;
  Key key;                 // under which it then stands among the runnable
  std::size_t listed = 0;  // how often it stands there, with stale keys

  [[nodiscard]] std::int32_t priority() const { return std::get<0>(id); }
  [[nodiscard]] const std::vector<int>& avoids() const { return std::get<2>(id); }
};

// The engines that may draw from the same queues.
struct TargetSet {
  std::size_t engines = 0;
  bool bound = false;
  std::vector<std::unique_ptr<Queue>> queues;
  // Engines that may want work, the idle before the merely hungry. An engine stands in a list at most once; whether it still
  // belongs there shows when it comes up.
  std::deque<int> idle;
  std::deque<int> hungry;
  std::map<int, std::vector<int>> followers;  // where teams draw from it: by first engine, the others
  bool waits_for_gang = false;                // its first entry waits for the other engines of its gang
  std::uint32_t hwm = 0;                      // the highest of what it was asked for since it was last empty
  std::size_t in_hand = 0;                    // assignments that engines have of it

  [[nodiscard]] bool recallable() const { return !bound && followers.empty(); }
  [[nodiscard]] bool empty() const {
    return std::all_of(queues.begin(), queues.end(), [](const auto& queue) { return queue->entries.empty(); });
  }
};

}  // namespace rankview::scheduler
