// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

// Engines, and the sets of them that draw from the same queues.
namespace rankview::scheduler {
namespace {

// Target sets without work that are remembered.
constexpr std::size_t kept_lanes = 64;

}  // namespace

void Scheduler::add_engine(int id, std::uint16_t slots) {
  if (everyone_ == nullptr) everyone_ = &make_lane(false);
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
  if (Lane* const bound = rest(added).bound; bound != nullptr) join(*bound, added);
}

bool Scheduler::Lane::empty() const {
  return std::all_of(queues.begin(), queues.end(), [](const auto& queue) { return queue->entries.empty(); });
}

bool Scheduler::live(int id) const { return static_cast<std::size_t>(id) < engines_.size() && engine(id).live; }

void Scheduler::set_live(std::size_t engines) {
  live_ = engines;
  stretch_ = std::max(1.0, static_cast<double>(live_) / static_cast<double>(limits_.engines));
}

Scheduler::Lane& Scheduler::make_lane(bool bound) {
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.back()->bound = bound;
  return *lanes_.back();
}

void Scheduler::join(Lane& lane, Engine& engine) {
  ++lane.engines;
  engine.joined = true;
  std::vector<Membership>& lanes = rest(engine).lanes;
  lanes.push_back({&lane, {}});
  offer(lane, lanes.back().listed, engine);
}

// Those of the lanes that it is in.
void Scheduler::leave(Engine& engine, const std::unordered_set<const Lane*>& lanes) {
  std::vector<Membership>& joined = rest(engine).lanes;
  std::erase_if(joined, [&lanes](const Membership& membership) { return lanes.contains(membership.lane); });
  engine.joined = !joined.empty();
}

bool Scheduler::in(const Lane& lane, const Engine& engine) const {
  if (&lane == everyone_) return engine.live;
  const std::vector<Membership>& lanes = rest(engine).lanes;
  return std::any_of(lanes.begin(), lanes.end(), [&lane](const Membership& membership) { return membership.lane == &lane; });
}

// The engine must be in the lane.
Scheduler::Listed& Scheduler::listed(const Lane& lane, Engine& engine) {
  if (&lane == everyone_) return engine.listed;
  std::vector<Membership>& lanes = rest(engine).lanes;
  return std::find_if(lanes.begin(), lanes.end(), [&lane](const Membership& membership) { return membership.lane == &lane; })->listed;
}

Scheduler::Lane& Scheduler::lane_for(const Placement& placement) {
  switch (placement.kind) {
    case Placement::Kind::among:
      return lane_for(*placement.engines);
    case Placement::Kind::teams:
      return lane_for(*placement.teams);
    case Placement::Kind::bound:
      return bound_lane(placement.engine);
    case Placement::Kind::anyone:
    case Placement::Kind::together:
      break;
  }
  return *everyone_;
}

Scheduler::Lane& Scheduler::bound_lane(int id) {
  Engine& only = engine(id);
  Lane*& bound = rest(only).bound;
  if (bound == nullptr) {
    bound = &make_lane(true);
    if (only.live) join(*bound, only);
  }
  return *bound;
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  if (const auto known = by_engines_.find(sorted); known != by_engines_.end()) return *known->second;
  // Each lane costs its engines a little whenever they have finished something.
  if (by_engines_.size() > kept_lanes) drop_unused_lanes();
  Lane& lane = make_lane(false);
  for (const int id : sorted) {
    if (live(id)) join(lane, engine(id));
  }
  by_engines_.emplace(std::move(sorted), &lane);
  return lane;
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<std::vector<int>>& teams) {
  if (const auto known = by_teams_.find(teams); known != by_teams_.end()) return *known->second;
  if (by_teams_.size() > kept_lanes) drop_unused_lanes();
  Lane& lane = make_lane(false);
  for (const std::vector<int>& team : teams) {
    if (!std::all_of(team.begin(), team.end(), [this](int id) { return live(id); })) continue;
    Engine& first = engine(team.front());
    lane.followers[first.id] = {team.begin() + 1, team.end()};
    join(lane, first);
  }
  by_teams_.emplace(teams, &lane);
  return lane;
}

void Scheduler::drop_unused_lanes() {
  last_terms_ = nullptr;
  std::unordered_set<const Lane*> dropped;
  std::unordered_set<const Queue*> dropped_queues;
  const auto drop = [&](auto& lanes) {
    std::erase_if(lanes, [&](const auto& known) {
      Lane& lane = *known.second;
      if (!lane.empty() || lane.in_hand != 0) return false;
      dropped.insert(&lane);
      for (const auto& queue : lane.queues) dropped_queues.insert(queue.get());
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
  std::erase_if(lanes_, [&dropped](const auto& lane) { return dropped.contains(lane.get()); });
}

}  // namespace rankview::scheduler
