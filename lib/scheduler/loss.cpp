// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

// An engine goes: what it had, what only it could have run, and what others now have to run where they did not.
namespace rankview::scheduler {

Scheduler::Lost Scheduler::lose_engine(int id) {
  Lost lost;
  Engine& gone = engine(id);
  const auto strand = [&](Queue& queue) {
    queue.entries.for_each([&](const Entry& entry) {
      if (entry.over()) return;
      lost.stranded.push_back({entry.call, entry.boundary(entry.chunk), entry.end()});
      waiting_ -= entry.left();
    });
    queue.entries.clear();
    queue.runnable = false;
  };
  // What waits for several engines together does not come about.
  std::set<Gang*> broken;
  if (rest(gone).bound != nullptr) {
    for (const auto& queue : rest(gone).bound->queues) {
      queue->entries.for_each([&broken](const Entry& entry) {
        if (entry.gang != nullptr) broken.insert(entry.gang.get());
      });
    }
  }
  for (Gang* const gang : broken) {
    const std::vector<int> members = gang->engines;  // the gang goes with its last entry
    for (const int member : members) {
      if (member == id) continue;
      Lane& lane = *rest(engine(member)).bound;
      Queue& queue = *lane.queues.front();
      if (lane.held && queue.entries.front().gang.get() == gang) lane.held = false;
      queue.entries.erase_if([&](const Entry& entry) {
        if (entry.gang.get() != gang) return false;
        if (entry.over()) return true;
        lost.stranded.push_back({entry.call, entry.first, entry.end()});
        --waiting_;
        return true;
      });
      queue.entries.skip_over();
      queue.runnable = false;
      set_runnable(lane);
    }
  }
  if (gone.idle()) --idle_;
  set_live(live_ - 1);
  gone.live = false;
  gone.overdue = gone.recalling = gone.watched = false;
  gone.listed = {};
  for (std::size_t i = 0; i < hand_outs(gone); ++i) {
    const Held& part = held(gone, i);
    lost.in_hand.push_back({part.call, part.first, part.end()});
    --part.terms->lane->in_hand;
  }
  gone.oldest = {};
  gone.more = false;
  rest(gone).behind = {};
  set_items(gone, 0);
  gone.suspended = 0;

  const auto shrink = [&](Lane& lane) {
    --lane.engines;
    if (lane.engines == 0) {
      for (const auto& queue : lane.queues) strand(*queue);
      return;
    }
    // Those that were kept from all others may have nobody left.
    std::vector<Entry> moved;
    for (const auto& queue : lane.queues) {
      if (queue->entries.empty() || avoided(lane, queue->entries.front().terms->avoid.get()) == queue->avoids()) continue;
      queue->entries.for_each([&moved](Entry& entry) {
        if (!entry.over()) moved.push_back(std::move(entry));
      });
      queue->entries.clear();
      queue->runnable = false;
    }
    for (Entry& entry : moved) {
      if (const auto avoid = avoided(lane, entry.terms->avoid.get())) {
        Queue& queue = queue_for(lane, *entry.terms, *avoid);
        insert(queue, std::move(entry));
        set_runnable(queue);
      } else {
        waiting_ -= entry.left();
        lost.stranded.push_back({entry.call, entry.boundary(entry.chunk), entry.end()});
      }
    }
  };
  shrink(*everyone_);
  for (const Membership& membership : rest(gone).lanes) shrink(*membership.lane);
  // Teams that it followed in end, too.
  for (const auto& known : by_teams_) {
    Lane& lane = *known.second;
    std::vector<int> ended;
    for (const auto& [first, others] : lane.followers) {
      if (first == id || std::find(others.begin(), others.end(), id) != others.end()) ended.push_back(first);
    }
    for (const int first : ended) {
      lane.followers.erase(first);
      if (first == id) continue;
      unlist(lane, engine(first));
      leave(engine(first), {&lane});
      shrink(lane);
    }
  }
  rest(gone).lanes.clear();
  gone.joined = false;
  return lost;
}

}  // namespace rankview::scheduler
