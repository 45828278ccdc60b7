// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <unordered_set>

namespace rankview::scheduler {
namespace {

// Target sets without work that are remembered.
constexpr std::size_t kept_lanes = 64;

}  // namespace

std::uint64_t Scheduler::Entry::boundary(std::uint64_t chunk_index) const {
  if (work.chunks == work.count) return work.first + chunk_index;
  const std::uint64_t size = work.count / work.chunks;
  const std::uint64_t longer = work.count % work.chunks;
  return work.first + chunk_index * size + std::min(chunk_index, longer);
}

std::optional<double> Scheduler::Engine::backlog() const {
  double backlog = 0;
  for (const InHand& held : in_hand) {
    if (held.kind->samples == 0) return std::nullopt;
    backlog += held.kind->mean * static_cast<double>(held.items);
  }
  return backlog;
}

Scheduler::Membership& Scheduler::Engine::in(const Lane& lane) {
  return *std::find_if(lanes.begin(), lanes.end(), [&lane](const Membership& m) { return m.lane == &lane; });
}

// ---- engines and lanes -------------------------------------------------------------------------------------------------------

void Scheduler::add_engine(int id) {
  if (everyone_ == nullptr) everyone_ = &make_lane(false);
  if (engines_.size() <= static_cast<std::size_t>(id)) engines_.resize(static_cast<std::size_t>(id) + 1);
  Engine& added = engine(id);
  added.id = id;
  added.bound = &make_lane(true);
  join(*added.bound, added);
  join(*everyone_, added);
  offer(added);
}

Scheduler::Lane& Scheduler::make_lane(bool bound) {
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.back()->bound = bound;
  return *lanes_.back();
}

void Scheduler::join(Lane& lane, Engine& engine) {
  ++lane.engines;
  engine.lanes.push_back({&lane});
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  Lane*& lane = by_engines_[sorted];
  if (lane == nullptr) {
    // Each lane costs its engines a little whenever they have finished something.
    if (by_engines_.size() > kept_lanes) drop_unused_lanes();
    lane = &make_lane(false);
    for (const int id : sorted) {
      join(*lane, engine(id));
      offer(engine(id).lanes.back(), engine(id));
    }
  }
  return *lane;
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<std::vector<int>>& teams) {
  Lane*& lane = by_teams_[teams];
  if (lane == nullptr) {
    if (by_teams_.size() > kept_lanes) drop_unused_lanes();
    lane = &make_lane(false);
    for (const std::vector<int>& team : teams) {
      Engine& first = engine(team.front());
      lane->followers[first.id] = {team.begin() + 1, team.end()};
      join(*lane, first);
      offer(first.lanes.back(), first);
    }
  }
  return *lane;
}

void Scheduler::drop_unused_lanes() {
  const auto unused = [](const auto& entry) { return entry.second != nullptr && entry.second->queue.empty(); };
  std::unordered_set<const Lane*> dropped;
  const auto drop = [&](auto& lanes) {
    for (const auto& entry : lanes) {
      if (unused(entry)) dropped.insert(entry.second);
    }
    std::erase_if(lanes, unused);
  };
  drop(by_engines_);
  drop(by_teams_);
  for (Engine& member : engines_) std::erase_if(member.lanes, [&dropped](const Membership& m) { return dropped.contains(m.lane); });
  decltype(runnable_) kept;
  for (; !runnable_.empty(); runnable_.pop()) {
    if (!dropped.contains(runnable_.top().second)) kept.push(runnable_.top());
  }
  runnable_ = std::move(kept);
  std::erase_if(lanes_, [&dropped](const auto& lane) { return dropped.contains(lane.get()); });
}

void Scheduler::set_runnable(Lane& lane) {
  if (lane.held || lane.queue.empty() || (lane.idle.empty() && lane.hungry.empty())) return;
  const std::uint64_t key = lane.queue.front().sequence;
  if (lane.runnable && lane.key == key) return;
  lane.runnable = true;
  lane.key = key;
  runnable_.emplace(key, &lane);
}

void Scheduler::stop(Lane& lane) { lane.runnable = false; }

// Whether an engine should get more from this lane now.
bool Scheduler::wants(const Lane& lane, const Engine& engine) const {
  if (engine.items == 0) return true;
  if (lane.bound && engine.items < limits_.bound_items) return true;
  const auto backlog = engine.backlog();
  return backlog && *backlog < static_cast<double>(limits_.longest_ahead);
}

void Scheduler::offer(Membership& membership, Engine& engine) {
  Lane& lane = *membership.lane;
  if (!wants(lane, engine)) return;
  bool& listed = engine.items == 0 ? membership.in_idle : membership.in_hungry;
  if (!listed) (engine.items == 0 ? lane.idle : lane.hungry).push_back(engine.id);
  listed = true;
  set_runnable(lane);
}

void Scheduler::offer(Engine& engine) {
  for (Membership& membership : engine.lanes) offer(membership, engine);
}

// ---- work --------------------------------------------------------------------------------------------------------------------

void Scheduler::submit(const Work& work) { enqueue(*everyone_, work); }
void Scheduler::submit(const Work& work, const std::vector<int>& engines) { enqueue(lane_for(engines), work); }
void Scheduler::submit_to_teams(const Work& work, const std::vector<std::vector<int>>& teams) { enqueue(lane_for(teams), work); }
void Scheduler::submit_bound(const Work& work, int id) { enqueue(*engine(id).bound, work); }

void Scheduler::submit_together(const Work& work, const std::vector<int>& engines) {
  const auto gang = std::make_shared<Gang>();
  gang->engines = engines;
  const std::uint64_t sequence = sequence_++;
  waiting_ += work.count;
  for (std::size_t i = 0; i < engines.size(); ++i) {
    Work own = work;
    own.first = work.first + i;
    own.count = own.chunks = 1;
    own.alone = true;  // what follows is not to be merged with it
    Lane& lane = *engine(engines[i]).bound;
    lane.queue.push_back({own, &duration(work.kind), 0, sequence, gang});
    set_runnable(lane);
  }
}

void Scheduler::enqueue(Lane& lane, const Work& work) {
  if (work.count == 0) return;
  waiting_ += work.count;
  // A map arrives in pieces; in the queue it is one.
  if (!lane.queue.empty() && !work.alone && work.chunks == work.count) {
    Work& last = lane.queue.back().work;
    if (last.call == work.call && !last.alone && last.chunks == last.count && last.first + last.count == work.first) {
      last.count += work.count;
      last.chunks += work.chunks;
      return;
    }
  }
  lane.queue.push_back({work, &duration(work.kind), 0, sequence_++});
  set_runnable(lane);
}

Scheduler::Duration& Scheduler::duration(std::uint64_t kind) {
  if (last_duration_.second == nullptr || last_duration_.first != kind) last_duration_ = {kind, &durations_[kind]};
  return *last_duration_.second;
}

// The engine to serve from this lane, -1 if none wants anything.
int Scheduler::pick(Lane& lane) {
  while (!lane.idle.empty()) {
    Engine& first = engine(lane.idle.front());
    if (first.items == 0) return first.id;
    lane.idle.pop_front();
    Membership& membership = first.in(lane);
    membership.in_idle = false;
    offer(membership, first);
  }
  while (!lane.hungry.empty()) {
    Engine& first = engine(lane.hungry.front());
    if (wants(lane, first)) return first.id;
    lane.hungry.pop_front();
    first.in(lane).in_hungry = false;
  }
  return -1;
}

// How many chunks to hand out.
std::uint64_t Scheduler::portion(const Lane& lane, const Engine& engine, const Entry& entry) const {
  const Work& work = entry.work;
  if (work.alone) return 1;
  const std::uint64_t left = work.chunks - entry.chunk;
  const std::uint64_t chunk_items = std::max<std::uint64_t>(1, work.count / work.chunks);
  const std::uint64_t by_bytes = work.item_bytes == 0 ? left : limits_.batch_bytes / (work.item_bytes * chunk_items);
  const double chunk_time = std::max(1.0, entry.kind->mean * static_cast<double>(chunk_items));
  const bool known = entry.kind->samples != 0;
  if (lane.bound) {
    // Short ones by time, as for everyone; long ones by number.
    const std::uint64_t by_number = limits_.bound_items > engine.items ? (limits_.bound_items - engine.items) / chunk_items : 0;
    const auto by_time = known ? static_cast<std::uint64_t>(static_cast<double>(limits_.batch) / chunk_time) : 0;
    return std::max<std::uint64_t>(1, std::min({std::max(by_number, by_time), by_bytes, left}));
  }
  if (!known) return 1;
  const double room = std::min(static_cast<double>(limits_.batch), static_cast<double>(limits_.in_hand) - engine.backlog().value_or(0));
  const auto by_time = static_cast<std::uint64_t>(std::max(0.0, room) / chunk_time);
  const std::uint64_t share = left / (2 * lane.engines);
  const std::uint64_t trusted = std::max<std::uint64_t>(1, entry.kind->samples / chunk_items);
  return std::max<std::uint64_t>(1, std::min({by_time, share, by_bytes, trusted, left}));
}

// The lane has come to the gang's item. When all have, they are handed out.
void Scheduler::hold(Lane& lane, Gang& gang) {
  lane.held = true;
  stop(lane);
  if (++gang.ready < gang.engines.size()) return;
  for (const int id : gang.engines) {
    Engine& member = engine(id);
    Lane& own = *member.bound;
    const Entry entry = std::move(own.queue.front());
    own.queue.pop_front();
    own.held = false;
    together_.push_back({id, entry.work.call, entry.work.first, entry.work.first + 1});
    take_in_hand(member, *entry.kind, 1);
    offer(member);
    set_runnable(own);
  }
}

bool Scheduler::next(Grant& grant) {
  if (!together_.empty()) {
    grant = together_.front();
    together_.pop_front();
    return true;
  }
  while (!runnable_.empty()) {
    const auto [key, top] = runnable_.top();
    Lane& lane = *top;
    if (!lane.runnable || lane.key != key) {
      runnable_.pop();
      continue;
    }
    const int id = pick(lane);
    if (id < 0) {
      stop(lane);
      continue;
    }
    Engine& to = engine(id);
    Entry& entry = lane.queue.front();
    if (entry.gang != nullptr) {
      hold(lane, *entry.gang);
      if (!together_.empty()) return next(grant);
      continue;
    }
    const std::uint64_t chunks = portion(lane, to, entry);
    grant = {id, entry.work.call, entry.boundary(entry.chunk), entry.boundary(entry.chunk + chunks)};
    take_in_hand(to, *entry.kind, grant.end - grant.begin);
    if (const auto team = lane.followers.find(id); team != lane.followers.end()) {
      for (const int follower : team->second) {
        together_.push_back({follower, grant.call, grant.begin, grant.end});
        take_in_hand(engine(follower), *entry.kind, grant.end - grant.begin);
        waiting_ += grant.end - grant.begin;  // they waited once
      }
    }
    entry.chunk += chunks;
    if (entry.chunk == entry.work.chunks) {
      lane.queue.pop_front();
      stop(lane);
    }
    // The engine goes to the back of whichever lists it belongs to now.
    Membership& membership = to.in(lane);
    const bool was_idle = !lane.idle.empty() && lane.idle.front() == id;
    (was_idle ? lane.idle : lane.hungry).pop_front();
    (was_idle ? membership.in_idle : membership.in_hungry) = false;
    offer(to);
    set_runnable(lane);
    return true;
  }
  return false;
}

void Scheduler::take_in_hand(Engine& engine, const Duration& kind, std::uint64_t items) {
  waiting_ -= items;
  engine.items += items;
  for (InHand& held : engine.in_hand) {
    if (held.kind == &kind) {
      held.items += items;
      return;
    }
  }
  engine.in_hand.push_back({&kind, items});
}

void Scheduler::finished(int id, std::uint64_t kind, std::uint64_t count, Nanoseconds busy) {
  Duration& known = duration(kind);
  const double mean = static_cast<double>(busy) / static_cast<double>(count);
  // Recent durations count for half, so that a drift shows soon.
  known.mean = known.samples == 0 ? mean : (known.mean + mean) / 2;
  known.samples += count;

  Engine& by = engine(id);
  by.items -= count;
  by.ended += count;
  const auto held = std::find_if(by.in_hand.begin(), by.in_hand.end(), [&known](const InHand& h) { return h.kind == &known; });
  held->items -= count;
  if (held->items == 0) {
    *held = by.in_hand.back();
    by.in_hand.pop_back();
  }
  offer(by);
}

std::vector<Range> Scheduler::withdraw(std::uint64_t call) {
  std::vector<Range> ranges;
  for (const auto& lane : lanes_) {
    for (const Entry& entry : lane->queue) {
      if (entry.work.call == call) ranges.push_back({entry.boundary(entry.chunk), entry.work.first + entry.work.count});
    }
    if (!lane->queue.empty() && lane->queue.front().work.call == call) lane->held = false;
    std::erase_if(lane->queue, [call](const Entry& entry) { return entry.work.call == call; });
    stop(*lane);
    set_runnable(*lane);
  }
  for (const Range& range : ranges) waiting_ -= range.end - range.begin;
  return ranges;
}

Load Scheduler::load(int id) const {
  const Engine& of = engine(id);
  Load load;
  for (const Entry& entry : of.bound->queue) load.waiting += entry.work.first + entry.work.count - entry.boundary(entry.chunk);
  load.handed_out = of.items;
  load.ended = of.ended;
  return load;
}

}  // namespace rankview::scheduler
