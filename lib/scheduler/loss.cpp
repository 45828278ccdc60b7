// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include "marks/mark.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

// An engine goes, for good or for a while: what it had, what only it could have run, and what others now have to run where they did not.
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
    release(queue);
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
    RANKVIEW_MARK(gang_broken_by_death);
    const std::vector<int> members = gang->engines;  // the gang goes with its last entry
    for (const int member : members) {
      if (member == id) continue;
      TargetSet& targets = *rest(engine(member)).bound;
      Queue& queue = *targets.queues.front();
      if (targets.waits_for_gang && queue.entries.front().gang.get() == gang) targets.waits_for_gang = false;
      queue.entries.erase_if([&](const Entry& entry) {
        if (entry.gang.get() != gang) return false;
        if (entry.over()) return true;
        lost.stranded.push_back({entry.call, entry.first, entry.end()});
        --waiting_;
        return true;
      });
      skip_over(queue);
    }
  }
  engines_.bury(gone);
  stretch_limits();
  gone.listed = {};
  lost.in_hand = take_in_hand(gone);

  const auto shrink = [&](TargetSet& targets) {
    --targets.engines;
    if (targets.engines == 0) {
      for (const auto& queue : targets.queues) strand(*queue);
      return;
    }
    // Those that were kept from all others may have nobody left.
    std::vector<Entry> moved;
    for (const auto& queue : targets.queues) {
      if (queue->entries.empty() || avoided(targets, *queue->entries.front().terms) == queue->avoids()) continue;
      queue->entries.for_each([&moved](Entry& entry) {
        if (!entry.over()) moved.push_back(std::move(entry));
      });
      queue->entries.clear();
      queue->runnable = false;
      release(*queue);
    }
    for (Entry& entry : moved) {
      if (const auto avoid = avoided(targets, *entry.terms)) {
        Queue& queue = queue_for(targets, *entry.terms, *avoid);
        insert(queue, std::move(entry));
        set_runnable(queue);
      } else {
        waiting_ -= entry.left();
        lost.stranded.push_back({entry.call, entry.boundary(entry.chunk), entry.end()});
      }
    }
  };
  shrink(target_sets_.everyone());
  for (const Membership& membership : rest(gone).target_sets) shrink(*membership.targets);
  // Teams that it followed in end, too.
  for (const auto& known : target_sets_.of_teams()) {
    TargetSet& targets = *known.second;
    std::vector<int> ended;
    for (const auto& [first, others] : targets.followers) {
      if (first == id || std::find(others.begin(), others.end(), id) != others.end()) ended.push_back(first);
    }
    for (const int first : ended) {
      targets.followers.erase(first);
      if (first == id) continue;
      for (const auto& queue : targets.queues) {
        if (queue->keeps == first) release(*queue);
      }
      unlist(targets, engine(first));
      leave(engine(first), [&targets](const TargetSet* each) { return each == &targets; });
      shrink(targets);
    }
  }
  rest(gone).target_sets.clear();
  gone.joined = false;
  return lost;
}

// ---- for a while -------------------------------------------------------------------------------------------------------------

std::vector<Range> Scheduler::set_aside(int id) {
  Engine& silent = engine(id);
  engines_.set_aside(silent);
  // Its turn with others comes when it is back.
  if (TargetSet* const bound = rest(silent).bound; bound != nullptr && std::exchange(bound->waits_for_gang, false)) {
    RANKVIEW_MARK(gang_member_set_aside);
    --bound->queues.front()->entries.front().gang->ready;
  }
  return take_in_hand(silent);
}

void Scheduler::take_back(int id) {
  Engine& back = engine(id);
  engines_.take_back(back);
  offer(back);
  // Teams that it follows in.
  for (const auto& known : target_sets_.of_teams()) {
    TargetSet& targets = *known.second;
    for (const auto& [first, others] : targets.followers) {
      if (std::find(others.begin(), others.end(), id) != others.end()) offer(targets, engine(first));
    }
  }
}

// Whether all of the team that the engine stands for can be handed something.
bool Scheduler::team_present(const TargetSet& targets, const Engine& first) const {
  const auto team = targets.followers.find(first.id);
  return team == targets.followers.end() ||
         std::all_of(team->second.begin(), team->second.end(), [this](int follower) { return engine(follower).present(); });
}

std::vector<Range> Scheduler::take_in_hand(Engine& engine) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < assignments(engine); ++i) {
    const Assignment& part = assignment(engine, i);
    ranges.push_back({part.call, part.first, part.end(), part.whole()});
    --part.terms->targets->in_hand;
  }
  std::erase_if(ready_, [&engine](const Grant& grant) { return grant.engine == engine.id; });
  engine.oldest = {};
  engine.more = false;
  rest(engine).backlog = {};
  engines_.set_used(engine, 0);
  engines_.set_items(engine, 0);
  if (engine.kept) release(*rest(engine).kept_for);
  engine.suspended = 0;
  engine.overdue = engine.recalling = engine.watched = false;
  return ranges;
}

}  // namespace rankview::scheduler
