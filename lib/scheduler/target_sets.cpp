// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

// Engines, and the sets of them that draw from the same queues.
namespace rankview::scheduler {
void Scheduler::add_engine(int id, std::uint16_t slots) {
  Engine& added = engines_.add(id, slots);
  stretch_limits();
  ++target_sets_.everyone().engines;
  offer(added);
  if (TargetSet* const bound = rest(added).bound; bound != nullptr) join(*bound, added);
}

void Scheduler::stretch_limits() { stretch_ = std::max(1.0, static_cast<double>(engines_.live()) / static_cast<double>(limits_.engines)); }

void Scheduler::join(TargetSet& targets, Engine& engine) {
  ++targets.engines;
  engine.joined = true;
  std::vector<Membership>& target_sets = rest(engine).target_sets;
  target_sets.push_back({&targets, {}});
  offer(targets, target_sets.back().listed, engine);
}

bool Scheduler::in(const TargetSet& targets, const Engine& engine) const {
  if (&targets == &target_sets_.everyone()) return engine.live;
  const std::vector<Membership>& target_sets = rest(engine).target_sets;
  return std::any_of(target_sets.begin(), target_sets.end(),
                     [&targets](const Membership& membership) { return membership.targets == &targets; });
}

// The engine must be in the target set.
Listed& Scheduler::listed(const TargetSet& targets, Engine& engine) {
  if (&targets == &target_sets_.everyone()) return engine.listed;
  std::vector<Membership>& target_sets = rest(engine).target_sets;
  return std::find_if(target_sets.begin(), target_sets.end(),
                      [&targets](const Membership& membership) { return membership.targets == &targets; })
      ->listed;
}

TargetSet& Scheduler::target_set_for(const Placement& placement) {
  switch (placement.kind) {
    case Placement::Kind::among:
      return target_set_for(*placement.engines);
    case Placement::Kind::teams:
      return target_set_for(*placement.teams);
    case Placement::Kind::bound:
      return bound_set(placement.engine);
    case Placement::Kind::anyone:
    case Placement::Kind::together:
      break;
  }
  return target_sets_.everyone();
}

TargetSet& Scheduler::bound_set(int id) {
  Engine& only = engine(id);
  TargetSet*& bound = rest(only).bound;
  if (bound == nullptr) {
    bound = &target_sets_.add_bound();
    if (only.live) join(*bound, only);
  }
  return *bound;
}

TargetSet& Scheduler::target_set_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  if (TargetSet* const known = target_sets_.find(sorted)) return *known;
  if (target_sets_.many()) drop_unused_target_sets();
  TargetSet& targets = target_sets_.add(sorted);
  for (const int id : sorted) {
    if (live(id)) join(targets, engine(id));
  }
  return targets;
}

TargetSet& Scheduler::target_set_for(const std::vector<std::vector<int>>& teams) {
  if (TargetSet* const known = target_sets_.find(teams)) return *known;
  if (target_sets_.many()) drop_unused_target_sets();
  TargetSet& targets = target_sets_.add(teams);
  for (const std::vector<int>& team : teams) {
    if (!std::all_of(team.begin(), team.end(), [this](int id) { return live(id); })) continue;
    Engine& first = engine(team.front());
    targets.followers[first.id] = {team.begin() + 1, team.end()};
    join(targets, first);
  }
  return targets;
}

std::vector<std::unique_ptr<TargetSet>> TargetSets::take_unused() {
  std::unordered_set<const TargetSet*> unused;
  const auto forget = [&unused](auto& known) {
    std::erase_if(known, [&unused](const auto& each) {
      const TargetSet& targets = *each.second;
      const bool is_unused = targets.empty() && targets.in_hand == 0;
      if (is_unused) unused.insert(&targets);
      return is_unused;
    });
  };
  forget(by_engines_);
  forget(by_teams_);
  const auto first = std::stable_partition(all_.begin(), all_.end(), [&unused](const auto& each) { return !unused.contains(each.get()); });
  std::vector<std::unique_ptr<TargetSet>> taken(std::make_move_iterator(first), std::make_move_iterator(all_.end()));
  all_.erase(first, all_.end());
  return taken;
}

void Scheduler::drop_unused_target_sets() {
  last_terms_ = nullptr;
  const auto dropped = target_sets_.take_unused();
  std::unordered_set<const TargetSet*> gone;
  for (const auto& targets : dropped) gone.insert(targets.get());
  for (Engine& member : engines_) {
    if (member.joined) leave(member, [&gone](const TargetSet* targets) { return gone.contains(targets); });
  }
  decltype(runnable_) kept;
  for (; !runnable_.empty(); runnable_.pop()) {
    if (!gone.contains(runnable_.top().second->targets)) kept.push(runnable_.top());
  }
  runnable_ = std::move(kept);
}

}  // namespace rankview::scheduler
