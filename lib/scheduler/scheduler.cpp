// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>

namespace rankview::scheduler {
namespace {

// Target sets without work that are remembered.
constexpr std::size_t kept_lanes = 64;

bool contains(const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

}  // namespace

std::uint64_t Scheduler::Entry::boundary(std::uint64_t chunk_index) const {
  if (work.chunks == work.count) return work.first + chunk_index;
  const std::uint64_t size = work.count / work.chunks;
  const std::uint64_t longer = work.count % work.chunks;
  return work.first + chunk_index * size + std::min(chunk_index, longer);
}

// ---- entries -----------------------------------------------------------------------------------------------------------------

bool Scheduler::Entries::late_first() const {
  return in_order_.empty() || (!late_.empty() && late_.begin()->place() < in_order_.front().place());
}

Scheduler::Entry& Scheduler::Entries::front() { return late_first() ? const_cast<Entry&>(*late_.begin()) : in_order_.front(); }

void Scheduler::Entries::pop_front() {
  if (late_first()) {
    late_.erase(late_.begin());
  } else {
    in_order_.pop_front();
  }
}

void Scheduler::Entries::clear() {
  in_order_.clear();
  late_.clear();
}

void Scheduler::Entries::insert(Entry entry) {
  if (in_order_.empty() || in_order_.back().place() <= entry.place()) {
    in_order_.push_back(std::move(entry));
  } else {
    late_.insert(std::move(entry));
  }
}

template <class F>
void Scheduler::Entries::for_each_of(std::uint64_t call, F f) {
  auto entry = std::lower_bound(in_order_.begin(), in_order_.end(), call,
                                [](const Entry& there, std::uint64_t wanted) { return there.work.call < wanted; });
  for (; entry != in_order_.end() && entry->work.call == call; ++entry) f(*entry);
  Entry first;
  first.work.call = call;
  for (auto late = late_.lower_bound(first); late != late_.end() && late->work.call == call; ++late) f(const_cast<Entry&>(*late));
}

std::optional<double> Scheduler::Engine::backlog() const {
  double backlog = 0;
  for (const InHand& of_kind : in_hand) {
    if (of_kind.kind->samples == 0) return std::nullopt;
    backlog += of_kind.kind->mean * static_cast<double>(of_kind.items);
  }
  return backlog;
}

Scheduler::Membership& Scheduler::Engine::in(const Lane& lane) {
  return *std::find_if(lanes.begin(), lanes.end(), [&lane](const Membership& m) { return m.lane == &lane; });
}

bool Scheduler::Lane::empty() const {
  return std::all_of(queues.begin(), queues.end(), [](const auto& queue) { return queue->entries.empty(); });
}

// ---- engines and lanes -------------------------------------------------------------------------------------------------------

void Scheduler::add_engine(int id) {
  if (everyone_ == nullptr) everyone_ = &make_lane(false);
  if (engines_.size() <= static_cast<std::size_t>(id)) engines_.resize(static_cast<std::size_t>(id) + 1);
  Engine& added = engine(id);
  added.id = id;
  added.live = true;
  ++live_;
  ++idle_;
  join(*everyone_, added);
  offer(added);
}

bool Scheduler::live(int id) const { return static_cast<std::size_t>(id) < engines_.size() && engine(id).live; }

Scheduler::Lane& Scheduler::make_lane(bool bound) {
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.back()->bound = bound;
  return *lanes_.back();
}

void Scheduler::join(Lane& lane, Engine& engine) {
  ++lane.engines;
  engine.lanes.push_back({&lane});
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
  if (only.bound == nullptr) {
    only.bound = &make_lane(true);
    if (!only.live) return *only.bound;
    join(*only.bound, only);
    offer(only.lanes.back(), only);
  }
  return *only.bound;
}

Scheduler::Lane& Scheduler::lane_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  if (const auto known = by_engines_.find(sorted); known != by_engines_.end()) return *known->second;
  // Each lane costs its engines a little whenever they have finished something.
  if (by_engines_.size() > kept_lanes) drop_unused_lanes();
  Lane& lane = make_lane(false);
  for (const int id : sorted) {
    if (!live(id)) continue;
    join(lane, engine(id));
    offer(engine(id).lanes.back(), engine(id));
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
    offer(first.lanes.back(), first);
  }
  by_teams_.emplace(teams, &lane);
  return lane;
}

void Scheduler::drop_unused_lanes() {
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
  for (Engine& member : engines_) leave_if(member, [&dropped](const Lane* lane) { return dropped.contains(lane); });
  decltype(runnable_) kept;
  for (; !runnable_.empty(); runnable_.pop()) {
    if (!dropped_queues.contains(runnable_.top().second)) kept.push(runnable_.top());
  }
  runnable_ = std::move(kept);
  std::erase_if(lanes_, [&dropped](const auto& lane) { return dropped.contains(lane.get()); });
}

// ---- queues ------------------------------------------------------------------------------------------------------------------

Scheduler::Queue& Scheduler::queue_for(Lane& lane, const Work& work, std::vector<int> avoid) {
  // What one engine is to do is done in order.
  QueueId id = lane.bound ? QueueId() : QueueId(work.priority, work.flow, std::move(avoid));
  for (const auto& queue : lane.queues) {
    if (queue->id == id) return *queue;
  }
  // One that is not needed any more will do.
  for (const auto& queue : lane.queues) {
    if (!queue->entries.empty() || queue->listed != 0) continue;
    queue->id = std::move(id);
    queue->turn = 0;
    return *queue;
  }
  lane.queues.push_back(std::make_unique<Queue>());
  Queue& queue = *lane.queues.back();
  queue.lane = &lane;
  queue.id = std::move(id);
  return queue;
}

void Scheduler::drop_if_unused(Queue& queue) {
  Lane& lane = *queue.lane;
  if (!queue.entries.empty() || queue.listed != 0 || lane.queues.size() == 1) return;
  std::erase_if(lane.queues, [&queue](const auto& q) { return q.get() == &queue; });
}

void Scheduler::set_runnable(Lane& lane) {
  for (const auto& queue : lane.queues) set_runnable(*queue);
}

void Scheduler::set_runnable(Queue& queue) {
  const Lane& lane = *queue.lane;
  if (lane.held || queue.entries.empty() || (lane.idle.empty() && lane.hungry.empty())) return;
  const Key key{-static_cast<std::int64_t>(std::get<0>(queue.id)), queue.turn, queue.entries.front().work.call};
  if (queue.runnable && queue.key == key) return;
  queue.runnable = true;
  queue.key = key;
  ++queue.listed;
  runnable_.emplace(key, &queue);
}

// Whether an engine should get more from this lane now.
bool Scheduler::wants(const Lane& lane, const Engine& engine) const {
  if (!engine.live) return false;
  if (engine.idle()) return true;
  if (lane.bound && engine.items < limits_.bound_items) return true;
  if (engine.items < lane.hwm) return true;
  if (engine.overdue) return false;
  const auto backlog = engine.backlog();
  return backlog && *backlog < static_cast<double>(limits_.longest_ahead);
}

// Whether it may be handed this.
bool Scheduler::accepts(const Engine& engine, const Queue& queue, const Entry& entry) const {
  if (contains(queue.avoids(), engine.id)) return false;
  if (engine.idle()) return true;
  if (entry.work.hwm != 0) return engine.items < entry.work.hwm;
  // It was asked in for another entry's sake.
  return queue.lane->hwm == 0 || (!engine.overdue && engine.backlog().value_or(1e300) < static_cast<double>(limits_.longest_ahead));
}

void Scheduler::offer(Membership& membership, Engine& engine) {
  Lane& lane = *membership.lane;
  if (!wants(lane, engine)) return;
  const bool idle = engine.idle();
  bool& listed = idle ? membership.in_idle : membership.in_hungry;
  if (!listed) (idle ? lane.idle : lane.hungry).push_back(engine.id);
  listed = true;
  set_runnable(lane);
}

void Scheduler::offer(Engine& engine) {
  for (Membership& membership : engine.lanes) offer(membership, engine);
}

void Scheduler::unlist(Lane& lane, Engine& engine) {
  Membership& membership = engine.in(lane);
  const auto remove = [&engine](std::deque<int>& list, bool& listed) {
    if (!std::exchange(listed, false)) return;
    if (list.front() == engine.id) {
      list.pop_front();
    } else {
      list.erase(std::find(list.begin(), list.end(), engine.id));
    }
  };
  remove(lane.idle, membership.in_idle);
  remove(lane.hungry, membership.in_hungry);
}

// ---- work --------------------------------------------------------------------------------------------------------------------

bool Scheduler::submit(const Work& work, const Placement& placement) {
  if (work.count == 0) return true;
  if (placement.kind == Placement::Kind::together) {
    submit_together(work, *placement.engines);
    return true;
  }
  return enqueue(lane_for(placement), work);
}

void Scheduler::submit_together(const Work& work, const std::vector<int>& engines) {
  const auto gang = std::make_shared<Gang>();
  gang->engines = engines;
  waiting_ += work.count;
  for (std::size_t i = 0; i < engines.size(); ++i) {
    Work own = work;
    own.first = work.first + i;
    own.count = own.chunks = 1;
    own.alone = true;  // what follows is not to be merged with it
    Lane& lane = bound_lane(engines[i]);
    Queue& queue = queue_for(lane, own, {});
    queue.entries.append({own, &duration(work.kind), 0, gang});
    set_runnable(queue);
  }
}

// Whom work of this lane is to be kept from: nothing if that is everybody.
std::optional<std::vector<int>> Scheduler::avoided(const Lane& lane, const Work& work) const {
  if (work.avoid == nullptr) return std::vector<int>();
  std::vector<int> refused;
  const auto add = [&](const std::vector<int>& ids, std::vector<int>& to) {
    for (const int id : ids) {
      if (!live(id) || contains(to, id)) continue;
      const auto& lanes = engine(id).lanes;
      if (std::any_of(lanes.begin(), lanes.end(), [&lane](const Membership& m) { return m.lane == &lane; })) to.push_back(id);
    }
    std::sort(to.begin(), to.end());
  };
  add(work.avoid->refused, refused);
  if (refused.size() == lane.engines) return std::nullopt;
  std::vector<int> all = refused;
  add(work.avoid->tried, all);
  return all.size() == lane.engines ? refused : all;
}

bool Scheduler::enqueue(Lane& lane, const Work& work) {
  if (lane.engines == 0) return false;
  auto avoid = avoided(lane, work);
  if (!avoid) return false;
  Queue& queue = queue_for(lane, work, std::move(*avoid));
  waiting_ += work.count;
  if (queue.entries.empty()) queue.turn = std::max(queue.turn, turn_[work.priority]);
  if (work.hwm > 1 && work.hwm > lane.hwm) {
    lane.hwm = work.hwm;
    for (Engine& member : engines_) {
      for (Membership& membership : member.lanes) {
        if (membership.lane == &lane) offer(membership, member);
      }
    }
  }
  insert(queue, {work, &duration(work.kind), 0});
  set_runnable(queue);
  return true;
}

void Scheduler::insert(Queue& queue, Entry entry) {
  Entries& entries = queue.entries;
  const Work& work = entry.work;
  // A map arrives in pieces; in the queue it is one.
  if (Entry* const before = entries.last(); before != nullptr && !work.alone && work.chunks == work.count) {
    Work& last = before->work;
    if (last.call == work.call && !last.alone && last.chunks == last.count && last.first + last.count == work.first &&
        last.avoid == work.avoid) {
      last.count += work.count;
      last.chunks += work.chunks;
      return;
    }
  }
  if (queue.lane->bound) {
    entries.append(std::move(entry));
  } else {
    entries.insert(std::move(entry));
  }
}

Scheduler::Duration& Scheduler::duration(std::uint64_t kind) {
  if (last_duration_.second == nullptr || last_duration_.first != kind) last_duration_ = {kind, &durations_[kind]};
  return *last_duration_.second;
}

void Scheduler::withdraw(std::uint64_t call, const Placement& placement) {
  const auto drop = [&](Lane& lane) {
    for (const auto& queue : lane.queues) {
      Entries& entries = queue->entries;
      // Those within stay as gaps, since calls may be given up in any order.
      const auto give_up = [&](Entry& entry) {
        if (entry.work.call != call || entry.over()) return;
        if (lane.held && &entry == &entries.front()) lane.held = false;
        waiting_ -= entry.left();
        entry.chunk = entry.work.chunks;
      };
      if (lane.bound) {
        entries.for_each(give_up);
      } else {
        entries.for_each_of(call, give_up);
      }
      if (entries.empty() || (!entries.front().over() && entries.front().gang == nullptr)) continue;
      while (!entries.empty() && entries.front().over()) entries.pop_front();
      queue->runnable = false;
      set_runnable(*queue);
    }
  };
  const auto drop_bound = [&](int id) {
    if (live(id) && engine(id).bound != nullptr) drop(*engine(id).bound);
  };
  if (placement.kind == Placement::Kind::together) {
    for (const int id : *placement.engines) drop_bound(id);
  } else if (placement.kind == Placement::Kind::bound) {
    drop_bound(placement.engine);
  } else {
    drop(lane_for(placement));
  }
}

// ---- handing out -------------------------------------------------------------------------------------------------------------

// The first engine in a list that may be handed what comes next, -1 if there is none. Removes those that do not belong there.
int Scheduler::first_of(Queue& queue, std::deque<int>& list, bool idle) {
  Lane& lane = *queue.lane;
  for (std::size_t i = 0; i < list.size();) {
    Engine& candidate = engine(list[i]);
    const bool belongs = idle ? candidate.live && candidate.idle() : wants(lane, candidate);
    if (belongs) {
      if (accepts(candidate, queue, queue.entries.front())) return candidate.id;
      ++i;
      continue;
    }
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    if (!candidate.live) continue;
    Membership& membership = candidate.in(lane);
    (idle ? membership.in_idle : membership.in_hungry) = false;
    if (idle) offer(membership, candidate);
  }
  return -1;
}

// The engine to serve from this queue, -1 if none wants anything.
int Scheduler::pick(Queue& queue) {
  if (queue.entries.front().work.policy != Policy::least_load && !queue.lane->bound) return draw(queue);
  const int id = first_of(queue, queue.lane->idle, true);
  return id >= 0 ? id : first_of(queue, queue.lane->hungry, false);
}

int Scheduler::draw(Queue& queue) {
  Lane& lane = *queue.lane;
  const Entry& entry = queue.entries.front();
  std::vector<int> willing;
  for (const std::deque<int>* list : {&lane.idle, &lane.hungry}) {
    for (const int id : *list) {
      // Who stands in both lists counts in the one where it belongs.
      const bool belongs = engine(id).idle() == (list == &lane.idle) && wants(lane, engine(id));
      if (belongs && accepts(engine(id), queue, entry)) willing.push_back(id);
    }
  }
  if (willing.empty()) return -1;
  const auto any = [&] { return willing[std::uniform_int_distribution<std::size_t>(0, willing.size() - 1)(random_)]; };
  const auto items = [this](int id) { return engine(id).items; };
  switch (entry.work.policy) {
    case Policy::lru:
      return *std::min_element(willing.begin(), willing.end(), [this](int a, int b) { return engine(a).granted < engine(b).granted; });
    case Policy::two_bin: {
      const int a = any();
      const int b = any();
      return items(b) < items(a) ? b : a;
    }
    case Policy::weighted: {
      std::vector<double> weights;
      for (const int id : willing) weights.push_back(1.0 / (1e-6 + static_cast<double>(items(id))));
      return willing[std::discrete_distribution<std::size_t>(weights.begin(), weights.end())(random_)];
    }
    case Policy::random:
    case Policy::least_load:
      break;
  }
  return any();
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
  const std::uint64_t by_mark = work.hwm == 0 ? left : (work.hwm - std::min<std::uint64_t>(work.hwm, engine.items)) / chunk_items;
  return std::max<std::uint64_t>(1, std::min({by_time, share, by_bytes, trusted, by_mark, left}));
}

// The lane has come to the gang's item. When all have, they are handed out.
void Scheduler::hold(Queue& queue, Gang& gang) {
  queue.lane->held = true;
  queue.runnable = false;
  if (++gang.ready < gang.engines.size()) return;
  const std::vector<int> members = gang.engines;  // the gang goes with its last entry
  for (const int id : members) {
    Engine& member = engine(id);
    Lane& lane = *member.bound;
    Queue& own = *lane.queues.front();
    const Entry entry = std::move(own.entries.front());
    own.entries.pop_front();
    lane.held = false;
    --waiting_;
    ready_.push_back({id, entry.work.call, entry.work.first, entry.work.first + 1});
    hand_out(member, entry, lane, entry.work.first, entry.work.first + 1);
    offer(member);
    set_runnable(own);
  }
}

bool Scheduler::next(Grant& grant) {
  while (ready_.empty() && !runnable_.empty()) {
    const auto [key, top] = runnable_.top();
    Queue& queue = *top;
    if (!queue.runnable || queue.key != key) {
      runnable_.pop();
      --queue.listed;
      drop_if_unused(queue);
      continue;
    }
    const int id = pick(queue);
    if (id < 0) {
      queue.runnable = false;
      continue;
    }
    Engine& to = engine(id);
    Lane& lane = *queue.lane;
    Entry& entry = queue.entries.front();
    if (entry.gang != nullptr) {
      hold(queue, *entry.gang);
      continue;
    }
    turn_[std::get<0>(queue.id)] = queue.turn;
    const std::uint64_t from = entry.chunk;
    entry.chunk += portion(lane, to, entry);
    const std::uint64_t begin = entry.boundary(from);
    const std::uint64_t end = entry.boundary(entry.chunk);
    if (entry.kind->samples != 0) queue.turn += entry.kind->mean * static_cast<double>(end - begin);
    waiting_ -= end - begin;
    const bool whole = entry.work.chunks != entry.work.count;
    const bool slow = entry.kind->samples == 0 || entry.kind->mean >= static_cast<double>(limits_.slow);
    for (std::uint64_t chunk = from; chunk < entry.chunk; ++chunk) {
      // Chunks one by one, since none is to be split.
      const std::uint64_t first = entry.boundary(chunk);
      const std::uint64_t last = whole ? entry.boundary(chunk + 1) : end;
      ready_.push_back({id, entry.work.call, first, last, slow});
      hand_out(to, entry, lane, first, last);
      if (const auto team = lane.followers.find(id); team != lane.followers.end()) {
        for (const int follower : team->second) {
          ready_.push_back({follower, entry.work.call, first, last, slow});
          hand_out(engine(follower), entry, lane, first, last);
        }
      }
      if (!whole) break;
    }
    while (!queue.entries.empty() && queue.entries.front().over()) queue.entries.pop_front();
    if (queue.entries.empty()) {
      queue.runnable = false;
      if (lane.hwm != 0 && lane.empty()) lane.hwm = 0;
    }
    // The engine goes to the back of whichever lists it belongs to now.
    unlist(lane, to);
    offer(to);
    set_runnable(queue);
  }
  if (ready_.empty()) return false;
  grant = ready_.front();
  ready_.pop_front();
  return true;
}

void Scheduler::set_items(Engine& engine, std::uint64_t items) {
  crowded_ -= engine.items > 1 ? 1 : 0;
  crowded_ += items > 1 ? 1 : 0;
  engine.items = items;
}

void Scheduler::note_idle(Engine& engine, bool was_idle) {
  if (engine.idle() == was_idle || !engine.live) return;
  if (was_idle) {
    --idle_;
    engine.watched_since = -1;
  } else {
    ++idle_;
  }
}

void Scheduler::hand_out(Engine& engine, const Entry& entry, Lane& lane, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  const std::uint64_t items = end - begin;
  set_items(engine, engine.items + items);
  engine.granted = ++hand_outs_;
  ++lane.in_hand;
  Held& held = engine.held.push_back({entry.work, entry.kind, &lane});
  held.work.first = begin;
  held.work.count = items;
  held.work.chunks = entry.work.chunks == entry.work.count ? items : 1;
  note_idle(engine, was_idle);
  for (InHand& of_kind : engine.in_hand) {
    if (of_kind.kind == entry.kind) {
      of_kind.items += items;
      return;
    }
  }
  engine.in_hand.push_back({entry.kind, items});
}

// Items [begin, end), which are some of those of a hand-out, are no longer the engine's.
void Scheduler::let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  Held& held = engine.held[index];
  const std::uint64_t last = held.work.first + held.work.count;
  set_items(engine, engine.items - (end - begin));
  const auto of_kind = std::find_if(engine.in_hand.begin(), engine.in_hand.end(), [&](const InHand& h) { return h.kind == held.kind; });
  of_kind->items -= end - begin;
  if (of_kind->items == 0) {
    *of_kind = engine.in_hand.back();
    engine.in_hand.pop_back();
  }
  const auto shrink = [](Held& part, std::uint64_t first, std::uint64_t behind) {
    part.work.first = first;
    part.work.count = behind - first;
    part.work.chunks = part.work.chunks == 1 ? 1 : part.work.count;
  };
  if (begin == held.work.first && end == last) {
    --held.lane->in_hand;
    engine.held.erase(index);
  } else if (begin == held.work.first) {
    shrink(held, end, last);
  } else {
    if (end != last) {
      Held rest = held;
      shrink(rest, end, last);
      ++held.lane->in_hand;
      engine.held.insert(index + 1, std::move(rest));
    }
    Held& first = engine.held[index];
    shrink(first, first.work.first, begin);
  }
  note_idle(engine, was_idle);
}

void Scheduler::finished(int id, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy) {
  Engine& by = engine(id);
  if (!by.live || begin == end) return;
  const std::uint64_t count = end - begin;
  Duration* kind = nullptr;
  // Mostly it is the first.
  for (std::size_t i = 0; begin != end && i < by.held.size();) {
    const Work& work = by.held[i].work;
    if (work.call != call || begin < work.first || begin >= work.first + work.count) {
      ++i;
      continue;
    }
    const std::uint64_t until = std::min(end, work.first + work.count);
    kind = by.held[i].kind;
    let_go(by, i, begin, until);
    begin = until;
    i = 0;
  }
  by.ended += count;
  by.overdue = false;
  if (kind != nullptr) {
    const double mean = static_cast<double>(busy) / static_cast<double>(count);
    // Recent durations count for half, so that a drift shows soon.
    kind->mean = kind->samples == 0 ? mean : (kind->mean + mean) / 2;
    kind->samples += count;
  }
  offer(by);
}

void Scheduler::suspended(int id, std::uint64_t items) {
  Engine& by = engine(id);
  const bool was_idle = by.idle();
  by.suspended = items;
  note_idle(by, was_idle);
  offer(by);
}

Load Scheduler::load(int id) const {
  const Engine& of = engine(id);
  Load load;
  if (of.bound != nullptr) {
    for (const auto& queue : of.bound->queues) {
      queue->entries.for_each([&load](const Entry& entry) { load.waiting += entry.left(); });
    }
  }
  load.handed_out = of.items;
  load.ended = of.ended;
  return load;
}

}  // namespace rankview::scheduler
