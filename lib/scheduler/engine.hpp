// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/backlog.hpp"
#include "scheduler/work.hpp"

#include <cstdint>
#include <vector>

// What is known of an engine.
namespace rankview::scheduler {

struct Queue;
struct TargetSet;

// What is known of an engine's place in a target set.
struct Listed {
  bool idle = false;  // it stands in its lists
  bool hungry = false;
};

// As much of an engine as handing it a long item and hearing of its end takes: a line of the cache, since of a hundred thousand engines
// each that comes up has to be fetched.
struct alignas(64) Engine {
  int id = -1;
  std::uint32_t suspended = 0;
  bool live = false;
  bool aside = false;      // see set_aside()
  bool overdue = false;    // sits in a long item
  bool recalling = false;  // has been asked to give back
  bool watched = false;    // since Rest::watched_since
  bool more = false;       // has something in Rest::backlog
  bool joined = false;     // has something in Rest::target_sets
  bool crowded = false;    // may have something to give back
  bool kept = false;       // for Rest::kept_for
  std::uint16_t slots = 1;
  std::uint16_t used = 0;   // of these
  Listed listed;            // in the target set of everyone
  Assignment oldest;        // what it runs first
  std::uint64_t items = 0;  // in hand, in all
  std::uint64_t ended = 0;

  [[nodiscard]] bool idle() const { return items == suspended; }
  [[nodiscard]] bool present() const { return live && !aside; }
};

// An engine's part in a target set.
struct Membership {
  TargetSet* targets;
  Listed listed;
};

// The rest of it.
struct alignas(64) Rest {
  Backlog backlog;
  std::uint64_t ended_when_watched = 0;
  std::uint64_t ended_when_kept = static_cast<std::uint64_t>(-1);  // when it could give nothing back
  Nanoseconds watched_since = 0;
  TargetSet* bound = nullptr;           // once there was work for it alone
  Queue* kept_for = nullptr;            // whose first entry it is to make room for
  std::vector<Membership> target_sets;  // with that, and without that of everyone
};

}  // namespace rankview::scheduler
