// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

// Engines, and the sets of them that draw from the same queues.
namespace rankview::scheduler {
namespace {

// Target sets without work that are remembered.
constexpr std::size_t most_remembered = 64;

}  // namespace

void Scheduler::add_engine(int id, std::uint16_t slots) {
  if (everyone_ == nullptr) everyone_ = &make_target_set(false);
  const std::size_t size = std::max(engines_.size(), static_cast<std::size_t>(id) + 1);
  engines_.resize(size);
  rests_.resize(size);
  granted_.resize(size);
  crowded_.reserve(size);
  Engine& added = engine(id);
  added.id = id;
  added.live = true;
  added.slots = slots;
  least_slots_ = engines_.size() == 1 ? slots : std::min(least_slots_, slots);
  most_slots_ = std::max(most_slots_, slots);
  set_live(live_ + 1);
  ++idle_;
  ++everyone_->engines;
  offer(added);
  if (TargetSet* const bound = rest(added).bound; bound != nullptr) join(*bound, added);
}

bool Scheduler::live(int id) const { return static_cast<std::size_t>(id) < engines_.size() && engine(id).live; }

void Scheduler::set_live(std::size_t engines) {
  live_ = engines;
  stretch_ = std::max(1.0, static_cast<double>(live_) / static_cast<double>(limits_.engines));
}

TargetSet& Scheduler::make_target_set(bool bound) {
  target_sets_.push_back(std::make_unique<TargetSet>());
  target_sets_.back()->bound = bound;
  return *target_sets_.back();
}

void Scheduler::join(TargetSet& targets, Engine& engine) {
  ++targets.engines;
  engine.joined = true;
  std::vector<Membership>& target_sets = rest(engine).target_sets;
  target_sets.push_back({&targets, {}});
  offer(targets, target_sets.back().listed, engine);
}

// Those of the target sets that it is in.
void Scheduler::leave(Engine& engine, const std::unordered_set<const TargetSet*>& target_sets) {
  std::vector<Membership>& joined = rest(engine).target_sets;
  std::erase_if(joined, [&target_sets](const Membership& membership) { return target_sets.contains(membership.targets); });
  engine.joined = !joined.empty();
}

bool Scheduler::in(const TargetSet& targets, const Engine& engine) const {
  if (&targets == everyone_) return engine.live;
  const std::vector<Membership>& target_sets = rest(engine).target_sets;
  return std::any_of(target_sets.begin(), target_sets.end(),
                     [&targets](const Membership& membership) { return membership.targets == &targets; });
}

// The engine must be in the target set.
Listed& Scheduler::listed(const TargetSet& targets, Engine& engine) {
  if (&targets == everyone_) return engine.listed;
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
  return *everyone_;
}

TargetSet& Scheduler::bound_set(int id) {
  Engine& only = engine(id);
  TargetSet*& bound = rest(only).bound;
  if (bound == nullptr) {
    bound = &make_target_set(true);
    if (only.live) join(*bound, only);
  }
  return *bound;
}

TargetSet& Scheduler::target_set_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  if (const auto known = by_engines_.find(sorted); known != by_engines_.end()) return *known->second;
  // Each target set costs its engines a little whenever they have finished something.
  if (by_engines_.size() > most_remembered) drop_unused_target_sets();
  TargetSet& targets = make_target_set(false);
  for (const int id : sorted) {
    if (live(id)) join(targets, engine(id));
  }
  by_engines_.emplace(std::move(sorted), &targets);
  return targets;
}

TargetSet& Scheduler::target_set_for(const std::vector<std::vector<int>>& teams) {
  if (const auto known = by_teams_.find(teams); known != by_teams_.end()) return *known->second;
  if (by_teams_.size() > most_remembered) drop_unused_target_sets();
  TargetSet& targets = make_target_set(false);
  for (const std::vector<int>& team : teams) {
    if (!std::all_of(team.begin(), team.end(), [this](int id) { return live(id); })) continue;
    Engine& first = engine(team.front());
    targets.followers[first.id] = {team.begin() + 1, team.end()};
    join(targets, first);
  }
  by_teams_.emplace(teams, &targets);
  return targets;
}

void Scheduler::drop_unused_target_sets() {
  last_terms_ = nullptr;
  std::unordered_set<const TargetSet*> dropped;
  std::unordered_set<const Queue*> dropped_queues;
  const auto drop = [&](auto& target_sets) {
    std::erase_if(target_sets, [&](const auto& known) {
      TargetSet& targets = *known.second;
      if (!targets.empty() || targets.in_hand != 0) return false;
      dropped.insert(&targets);
      for (const auto& queue : targets.queues) dropped_queues.insert(queue.get());
      return true;
    });
  };
  drop(by_engines_);
  drop(by_teams_);
  for (Engine& member : engines_) {
    if (member.joined) leave(member, dropped);
  }
  decltype(runnable_) kept;
  for (; !runnable_.empty(); runnable_.pop()) {
    if (!dropped_queues.contains(runnable_.top().second)) kept.push(runnable_.top());
  }
  runnable_ = std::move(kept);
  std::erase_if(target_sets_, [&dropped](const auto& targets) { return dropped.contains(targets.get()); });
}

}  // namespace rankview::scheduler
