// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>

namespace rankview::scheduler {

std::uint64_t Scheduler::Entry::boundary(std::uint64_t chunk_index) const {
  if (work.chunks == work.count) return work.first + chunk_index;
  const std::uint64_t size = work.count / work.chunks;
  const std::uint64_t longer = work.count % work.chunks;
  return work.first + chunk_index * size + std::min(chunk_index, longer);
}

void Scheduler::add_engine(int id) {
  if (everyone_ == nullptr) everyone_ = &make_lane({}, false);
  if (engines_.size() <= static_cast<std::size_t>(id)) engines_.resize(static_cast<std::size_t>(id) + 1);
  Engine& added = engine(id);
  added.id = id;
  ids_.push_back(id);
  added.bound = &make_lane({id}, true);
  added.lanes = {added.bound, everyone_};
  everyone_->engines.push_back(id);
  offer(added);
}

Scheduler::Lane& Scheduler::make_lane(std::vector<int> engines, bool bound) {
  lanes_.push_back(std::make_unique<Lane>());
  Lane& lane = *lanes_.back();
  lane.engines = std::move(engines);
  lane.bound = bound;
  return lane;
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  Lane*& lane = by_engines_[sorted];
  if (lane == nullptr) {
    lane = &make_lane(sorted, false);
    for (const int id : sorted) {
      engine(id).lanes.push_back(lane);
      offer(*lane, engine(id));
    }
  }
  return *lane;
}

void Scheduler::submit(const Work& work) { enqueue(*everyone_, work); }
void Scheduler::submit(const Work& work, const std::vector<int>& engines) { enqueue(lane_for(engines), work); }
void Scheduler::submit_bound(const Work& work, int id) { enqueue(*engine(id).bound, work); }

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
  lane.queue.push_back({work, 0, sequence_++});
  set_runnable(lane);
}

void Scheduler::set_runnable(Lane& lane) {
  if (lane.queue.empty() || (lane.idle.empty() && lane.hungry.empty())) return;
  const std::uint64_t key = lane.queue.front().sequence;
  if (lane.runnable && lane.key == key) return;
  stop(lane);
  lane.runnable = true;
  lane.key = key;
  runnable_.emplace(key, &lane);
}

void Scheduler::stop(Lane& lane) {
  if (!lane.runnable) return;
  runnable_.erase(lane.key);
  lane.runnable = false;
}

const Scheduler::Duration* Scheduler::duration(std::uint64_t kind) const {
  const auto found = durations_.find(kind);
  return found == durations_.end() ? nullptr : &found->second;
}

void Scheduler::refresh(Engine& engine) const {
  engine.known = 0;
  engine.unknown = 0;
  for (const auto& [kind, items] : engine.by_kind) {
    if (const Duration* known = duration(kind)) {
      engine.known += known->mean * static_cast<double>(items);
    } else {
      engine.unknown += items;
    }
  }
}

bool Scheduler::wants(const Lane& lane, const Engine& engine) const {
  if (engine.items == 0) return true;
  if (lane.bound) return engine.items < limits_.bound_items;
  return engine.unknown == 0 && engine.known < static_cast<double>(limits_.longest_ahead);
}

void Scheduler::offer(Lane& lane, Engine& engine) {
  if (!wants(lane, engine)) return;
  const auto id = static_cast<std::size_t>(engine.id);
  const bool is_idle = engine.items == 0;
  std::deque<int>& list = is_idle ? lane.idle : lane.hungry;
  std::vector<bool>& listed = is_idle ? lane.in_idle : lane.in_hungry;
  if (listed.size() <= id) listed.resize(id + 1);
  if (!listed[id]) {
    listed[id] = true;
    list.push_back(engine.id);
  }
  set_runnable(lane);
}

void Scheduler::offer(Engine& engine) {
  for (Lane* lane : engine.lanes) offer(*lane, engine);
}

// The engine to serve from this lane, -1 if none wants anything.
int Scheduler::pick(Lane& lane) {
  while (!lane.idle.empty()) {
    const int id = lane.idle.front();
    if (engine(id).items == 0) return id;
    lane.idle.pop_front();
    lane.in_idle[static_cast<std::size_t>(id)] = false;
    offer(lane, engine(id));
  }
  while (!lane.hungry.empty()) {
    const int id = lane.hungry.front();
    if (wants(lane, engine(id))) return id;
    lane.hungry.pop_front();
    lane.in_hungry[static_cast<std::size_t>(id)] = false;
  }
  return -1;
}

// How many chunks to hand out.
std::uint64_t Scheduler::portion(const Lane& lane, const Engine& engine, const Entry& entry) const {
  const Work& work = entry.work;
  const std::uint64_t left = work.chunks - entry.chunk;
  const std::uint64_t chunk_items = std::max<std::uint64_t>(1, work.count / work.chunks);
  const std::uint64_t by_bytes = work.item_bytes == 0 ? left : limits_.batch_bytes / (work.item_bytes * chunk_items);
  if (work.alone) return 1;
  if (lane.bound) {
    const std::uint64_t room = limits_.bound_items > engine.items ? (limits_.bound_items - engine.items) / chunk_items : 0;
    const Duration* known = duration(work.kind);
    // Short ones by time, as for everyone; long ones by number.
    const std::uint64_t by_time =
        known == nullptr ? 0 : static_cast<std::uint64_t>(static_cast<double>(limits_.batch) / std::max(1.0, known->mean)) / chunk_items;
    return std::clamp<std::uint64_t>(std::max(room, by_time), 1, std::max<std::uint64_t>(1, std::min(left, by_bytes)));
  }
  const Duration* known = duration(work.kind);
  if (known == nullptr) return 1;
  const double chunk_time = std::max(1.0, known->mean * static_cast<double>(chunk_items));
  const double room = std::min(static_cast<double>(limits_.batch), static_cast<double>(limits_.in_hand) - engine.known);
  const auto by_time = static_cast<std::uint64_t>(std::max(0.0, room) / chunk_time);
  const std::uint64_t share = left / (2 * lane.engines.size());
  const std::uint64_t trusted = std::max<std::uint64_t>(1, known->samples / chunk_items);
  return std::max<std::uint64_t>(1, std::min({by_time, share, by_bytes, trusted, left}));
}

bool Scheduler::next(Grant& grant) {
  while (!runnable_.empty()) {
    Lane& lane = *runnable_.begin()->second;
    const int id = pick(lane);
    if (id < 0) {
      stop(lane);
      continue;
    }
    Engine& to = engine(id);
    Entry& entry = lane.queue.front();
    const std::uint64_t chunks = portion(lane, to, entry);
    grant = {id, entry.work.call, entry.boundary(entry.chunk), entry.boundary(entry.chunk + chunks)};
    const std::uint64_t items = grant.end - grant.begin;
    to.items += items;
    to.by_kind[entry.work.kind] += items;
    waiting_ -= items;
    refresh(to);
    entry.chunk += chunks;
    if (entry.chunk == entry.work.chunks) {
      lane.queue.pop_front();
      stop(lane);
    }
    // It goes to the back of whichever list it belongs to now.
    if (!lane.idle.empty() && lane.idle.front() == id) {
      lane.idle.pop_front();
      lane.in_idle[static_cast<std::size_t>(id)] = false;
    } else {
      lane.hungry.pop_front();
      lane.in_hungry[static_cast<std::size_t>(id)] = false;
    }
    offer(to);
    set_runnable(lane);
    return true;
  }
  return false;
}

void Scheduler::finished(int id, std::uint64_t kind, std::uint64_t count, Nanoseconds busy) {
  Engine& by = engine(id);
  const double mean = static_cast<double>(busy) / static_cast<double>(count);
  Duration& known = durations_[kind];
  // Recent durations count for half, so that a drift shows soon.
  known.mean = known.samples == 0 ? mean : (known.mean + mean) / 2;
  known.samples += count;

  by.items -= count;
  by.ended += count;
  const auto held = by.by_kind.find(kind);
  held->second -= count;
  if (held->second == 0) by.by_kind.erase(held);
  refresh(by);
  offer(by);
}

std::vector<Range> Scheduler::withdraw(std::uint64_t call) {
  std::vector<Range> ranges;
  for (const auto& lane : lanes_) {
    for (const Entry& entry : lane->queue) {
      if (entry.work.call == call) ranges.push_back({entry.boundary(entry.chunk), entry.work.first + entry.work.count});
    }
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
