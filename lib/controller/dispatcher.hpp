// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_registry.hpp"
#include "controller/engines.hpp"
#include "controller/item_ledger.hpp"
#include "controller/task_queue.hpp"
#include "controller/teams.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/options.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace rankview::controller {

// How results that are arguments come to the engine that wants them; see Options::forward_results.
struct Forwarding {
  ForwardResults when = ForwardResults::never;
  std::uint64_t machine = 0;  // which rank 0 is on
};

// Hands tasks out: what the scheduler grants becomes messages to the engines.
class Dispatcher {
 public:
  Dispatcher(const CallRegistry& calls, TaskQueue& queue, Engines& engines, ItemLedger& ledger, UserWork& work, Teams& teams,
             Forwarding forwarding);

  // Everything that may be handed out now. The messages lie in the engines' outboxes.
  void dispatch();
  // One of them. Whoever calls this may send.
  void grant(const scheduler::Grant& grant);
  // Tells the engines which of items [begin, limit) that they were handed are not wanted any more.
  void stop(const detail::Call& call, std::uint64_t begin, std::uint64_t limit);
  // Items that were granted to engines that have died before they could be handed out: they wait, and stand in no queue.
  [[nodiscard]] bool any_orphans() const { return !orphans_.empty(); }
  std::vector<TaskId> take_orphans() { return std::exchange(orphans_, {}); }
  // An engine that has a long argument of the call and nothing to do, or -1. While anything waits, it may be about to be handed that.
  [[nodiscard]] int engine_with_arguments(const detail::Call& call) const;

 private:
  class ArgumentOrigins;
  class Encoding;

  void hand_out(detail::Call& call, const scheduler::Grant& grant);
  bool encode_for(detail::Call& call, const scheduler::Grant& grant);
  [[nodiscard]] detail::Origin::Kind origin(const detail::Call& result, int to) const;
  void enter_team(detail::Call& call);
  void enter_team(detail::Call& call, const scheduler::Grant& grant);
  void write_object(detail::Call& call, int engine);
  void write_batch(const detail::Call& call, const detail::ArgumentBlock& block, int engine, bool slow, std::uint64_t begin,
                   std::uint64_t end);

  const CallRegistry& calls_;
  TaskQueue& queue_;
  Engines& engines_;
  ItemLedger& ledger_;
  UserWork& work_;
  Teams& teams_;
  Forwarding forwarding_;
  std::vector<TaskId> orphans_;
  std::uint64_t next_ticket_;  // of what engines deliver to each other; those of another run may still be known there
};

}  // namespace rankview::controller
