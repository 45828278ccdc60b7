// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace rankview::scheduler {

// A few items count for half, so that a drift shows soon; a single one, which may be far from the mean, for an eighth.
void Scheduler::Duration::learn(std::uint64_t items, Nanoseconds busy) {
  const auto count = static_cast<double>(items);
  samples += items;
  const double weight = std::max(count / static_cast<double>(samples), std::min(count, 4.0) / 8);
  mean += weight * (static_cast<double>(busy) / count - mean);
}

// ---- what engines have in hand -----------------------------------------------------------------------------------------------

std::optional<double> Scheduler::Behind::backlog() const {
  double backlog = 0;
  for (const OfKind& of_kind : of_kinds_) {
    if (of_kind.kind->samples == 0) return std::nullopt;
    backlog += of_kind.kind->mean * static_cast<double>(of_kind.items);
  }
  return backlog;
}

void Scheduler::Behind::insert(std::size_t i, Held held) {
  count(held);
  held_.insert(i, std::move(held));
}

Scheduler::Held Scheduler::Behind::take(std::size_t i) {
  discount(held_[i]);
  Held held = std::move(held_[i]);
  held_.erase(i);
  return held;
}

void Scheduler::Behind::cut(std::size_t i, std::uint64_t first, std::uint64_t end) {
  discount(held_[i]);
  held_[i].cut(first, end);
  count(held_[i]);
}

const Scheduler::Behind::OfKind* Scheduler::Behind::find(const Duration& kind) const {
  const auto found = std::find_if(of_kinds_.begin(), of_kinds_.end(), [&kind](const OfKind& of_kind) { return of_kind.kind == &kind; });
  return found == of_kinds_.end() ? nullptr : &*found;
}

std::uint64_t Scheduler::Behind::items_of(const Duration& kind) const {
  const OfKind* const of_kind = find(kind);
  return of_kind == nullptr ? 0 : of_kind->items;
}

void Scheduler::Behind::count(const Held& held) {
  if (auto* const known = const_cast<OfKind*>(find(*held.terms->kind)); known != nullptr) {
    known->items += held.count;
  } else {
    of_kinds_.push_back({held.terms->kind, held.count});
  }
}

void Scheduler::Behind::discount(const Held& held) {
  auto* const known = const_cast<OfKind*>(find(*held.terms->kind));
  known->items -= held.count;
  if (known->items != 0) return;
  *known = of_kinds_.back();
  of_kinds_.pop_back();
}

// Nanoseconds of work; nothing if some of it is of unknown kind.
std::optional<double> Scheduler::backlog(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  const auto oldest = engine.oldest.time();
  if (!engine.more || !oldest) return oldest;
  const auto more = rest(engine).behind.backlog();
  return more ? std::optional(*oldest + *more) : std::nullopt;
}

std::uint64_t Scheduler::items_of(const Engine& engine, const Duration& kind) const {
  if (engine.oldest.terms == nullptr) return 0;
  const std::uint64_t oldest = engine.oldest.terms->kind == &kind ? engine.oldest.count : 0;
  return oldest + (engine.more ? rest(engine).behind.items_of(kind) : 0);
}

std::size_t Scheduler::hand_outs(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  return 1 + (engine.more ? rest(engine).behind.size() : 0);
}

// As number `index` of what it has; the oldest stays.
void Scheduler::insert(Engine& engine, std::size_t index, Held held) {
  if (index == 0) {
    engine.oldest = std::move(held);
  } else {
    rest(engine).behind.insert(index - 1, std::move(held));
    engine.more = true;
  }
}

void Scheduler::erase(Engine& engine, std::size_t index) {
  if (!engine.more) {
    engine.oldest = {};
    return;
  }
  Behind& behind = rest(engine).behind;
  if (index == 0) {
    engine.oldest = behind.take(0);
  } else {
    behind.take(index - 1);
  }
  engine.more = behind.size() != 0;
}

void Scheduler::cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end) {
  if (index == 0) {
    engine.oldest.cut(first, end);
  } else {
    rest(engine).behind.cut(index - 1, first, end);
  }
}

// ---- who wants something -----------------------------------------------------------------------------------------------------

// Whether an engine should get more from this lane now.
bool Scheduler::wants(const Lane& lane, const Engine& engine) const {
  if (!engine.present() || (aside_ != 0 && !team_present(lane, engine))) return false;
  if (engine.idle()) return true;
  if (engine.used != 0) return engine.used < engine.slots;
  if (lane.bound && engine.items < limits_.bound_items) return true;
  if (engine.items < lane.hwm) return true;
  if (engine.overdue) return false;
  const auto time = backlog(engine);
  return time && *time < static_cast<double>(limits_.longest_ahead);
}

// Whether it may be handed this.
bool Scheduler::accepts(const Engine& engine, const Queue& queue, const Entry& entry) const {
  const std::vector<int>& avoids = queue.avoids();
  if (std::find(avoids.begin(), avoids.end(), engine.id) != avoids.end()) return false;
  if (engine.kept && kept_from(engine, queue)) return false;
  if (engine.idle()) return true;
  if (engine.used != 0 || entry.terms->slots != 0) return has_room(engine, *entry.terms);
  if (entry.terms->hwm != 0) return engine.items < entry.terms->hwm;
  // A few durations are not to be relied on: the first one may have been a tiny fraction of the others.
  const Duration& kind = *entry.terms->kind;
  if (!queue.lane->bound && items_of(engine, kind) >= std::max<std::uint64_t>(1, kind.samples)) return false;
  // It was asked in for another entry's sake.
  return queue.lane->hwm == 0 || (!engine.overdue && backlog(engine).value_or(1e300) < static_cast<double>(limits_.longest_ahead));
}

void Scheduler::offer(Lane& lane, Listed& listed, Engine& engine) {
  if (!wants(lane, engine)) return;
  const bool idle = engine.idle();
  bool& there = idle ? listed.idle : listed.hungry;
  if (!there) (idle ? lane.idle : lane.hungry).push_back(engine.id);
  there = true;
  set_runnable(lane);
}

void Scheduler::offer(Engine& engine) {
  offer(*everyone_, engine.listed, engine);
  if (!engine.joined) return;
  for (Membership& membership : rest(engine).lanes) offer(*membership.lane, membership.listed, engine);
}

void Scheduler::unlist(Lane& lane, Engine& engine) {
  Listed& where = listed(lane, engine);
  const auto remove = [&engine](std::deque<int>& list, bool& there) {
    if (!std::exchange(there, false)) return;
    if (list.front() == engine.id) {
      list.pop_front();
    } else {
      list.erase(std::find(list.begin(), list.end(), engine.id));
    }
  };
  remove(lane.idle, where.idle);
  remove(lane.hungry, where.hungry);
}

// ---- handing out -------------------------------------------------------------------------------------------------------------

// Takes the first engine out of a list that may be handed what comes next, -1 if there is none, and those that do not belong there.
int Scheduler::take_first(Queue& queue, std::deque<int>& list, bool idle) {
  Lane& lane = *queue.lane;
  for (std::size_t i = 0; i < list.size();) {
    Engine& candidate = engine(list[i]);
    const bool belongs = (!idle || candidate.idle()) && wants(lane, candidate);
    const bool taken = belongs && accepts(candidate, queue, queue.entries.front());
    if (belongs && !taken) {
      ++i;
      continue;
    }
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    if (!candidate.live) continue;
    Listed& where = listed(lane, candidate);
    (idle ? where.idle : where.hungry) = false;
    if (taken) return candidate.id;
    if (idle) offer(lane, where, candidate);
  }
  return -1;
}

// The engine to serve from this queue, -1 if none wants anything. It no longer stands in the list where it was found.
int Scheduler::pick(Queue& queue) {
  if (queue.entries.front().terms->policy != Policy::least_load && !queue.lane->bound) return draw(queue);
  const int id = take_first(queue, queue.lane->idle, true);
  return id >= 0 ? id : take_first(queue, queue.lane->hungry, false);
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
  const auto take = [&](int id) {
    unlist(lane, engine(id));
    return id;
  };
  const auto any = [&] { return willing[std::uniform_int_distribution<std::size_t>(0, willing.size() - 1)(random_)]; };
  const auto items = [this](int id) { return engine(id).items; };
  switch (entry.terms->policy) {
    case Policy::lru:
      return take(*std::min_element(willing.begin(), willing.end(), [this](int a, int b) {
        return granted_[static_cast<std::size_t>(a)] < granted_[static_cast<std::size_t>(b)];
      }));
    case Policy::two_bin: {
      const int a = any();
      const int b = any();
      return take(items(b) < items(a) ? b : a);
    }
    case Policy::weighted: {
      std::vector<double> weights;
      weights.reserve(willing.size());
      for (const int id : willing) weights.push_back(1.0 / (1e-6 + static_cast<double>(items(id))));
      return take(willing[std::discrete_distribution<std::size_t>(weights.begin(), weights.end())(random_)]);
    }
    case Policy::pack: {
      const auto left = [this](int id) { return engine(id).slots - engine(id).used; };
      return take(*std::min_element(willing.begin(), willing.end(), [&left](int a, int b) { return left(a) < left(b); }));
    }
    case Policy::random:
    case Policy::least_load:
      break;
  }
  return take(any());
}

// How many chunks to hand out.
std::uint64_t Scheduler::portion(const Engine& engine, const Entry& entry) const {
  const Terms& terms = *entry.terms;
  const Lane& lane = *terms.lane;
  if (terms.alone || terms.slots != 0) return 1;
  const std::uint64_t left = entry.chunks - entry.chunk;
  const std::uint64_t chunk_items = std::max<std::uint64_t>(1, entry.count / entry.chunks);
  const std::uint64_t by_bytes = terms.item_bytes == 0 ? left : limits_.batch_bytes / (terms.item_bytes * chunk_items);
  const double chunk_time = std::max(1.0, terms.kind->mean * static_cast<double>(chunk_items));
  const bool known = terms.kind->samples != 0;
  if (lane.bound) {
    // Short ones by time, as for everyone; long ones by number.
    const std::uint64_t by_number = limits_.bound_items > engine.items ? (limits_.bound_items - engine.items) / chunk_items : 0;
    const auto by_time = known ? static_cast<std::uint64_t>(stretched(limits_.batch) / chunk_time) : 0;
    return std::max<std::uint64_t>(1, std::min({std::max(by_number, by_time), by_bytes, left}));
  }
  if (!known) return 1;
  const double room = std::min(stretched(limits_.batch), stretched(limits_.in_hand) - backlog(engine).value_or(0));
  const auto by_time = static_cast<std::uint64_t>(std::max(0.0, room) / chunk_time);
  const std::uint64_t share = left / (2 * lane.engines);
  const std::uint64_t trusted = (terms.kind->samples - std::min(terms.kind->samples, items_of(engine, *terms.kind))) / chunk_items;
  const std::uint64_t by_mark = terms.hwm == 0 ? left : (terms.hwm - std::min<std::uint64_t>(terms.hwm, engine.items)) / chunk_items;
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
    Lane& lane = *rest(member).bound;
    Queue& own = *lane.queues.front();
    const Entry entry = std::move(own.entries.front());
    own.entries.pop_front();
    own.entries.skip_over();  // what was given up meanwhile
    lane.held = false;
    --waiting_;
    ready_.push_back({id, entry.call, entry.first, entry.end()});
    hand_out(member, entry, entry.first, entry.end());
    offer(member);
    set_runnable(own);
  }
}

bool Scheduler::next(Grant& grant) {
  if (paused_) return false;
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
      if (slotted()) keep_engine(queue);
      continue;
    }
    if (queue.keeps >= 0) release(queue);
    Engine& to = engine(id);
    Lane& lane = *queue.lane;
    Entry& entry = queue.entries.front();
    if (entry.gang != nullptr) {
      hold(queue, *entry.gang);
      offer(lane, to);
      continue;
    }
    const Duration& kind = *entry.terms->kind;
    turns_.set(std::get<0>(queue.id), queue.turn);
    const std::uint64_t from = entry.chunk;
    entry.chunk += portion(to, entry);
    const std::uint64_t begin = entry.boundary(from);
    const std::uint64_t end = entry.boundary(entry.chunk);
    const double share = entry.terms->slots == 0 ? 1 : static_cast<double>(entry.terms->slots) / most_slots_;
    if (kind.samples != 0) queue.turn += kind.mean * static_cast<double>(end - begin) * share;
    waiting_ -= end - begin;
    const bool whole = entry.terms->in_chunks;
    const bool slow = kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow);
    for (std::uint64_t chunk = from; chunk < entry.chunk; ++chunk) {
      // Chunks one by one, since none is to be split.
      const std::uint64_t first = entry.boundary(chunk);
      const std::uint64_t last = whole ? entry.boundary(chunk + 1) : end;
      ready_.push_back({id, entry.call, first, last, slow});
      hand_out(to, entry, first, last);
      if (const auto team = lane.followers.find(id); team != lane.followers.end()) {
        for (const int follower : team->second) {
          ready_.push_back({follower, entry.call, first, last, slow});
          hand_out(engine(follower), entry, first, last);
        }
      }
      if (!whole) break;
    }
    queue.entries.skip_over();
    if (queue.entries.empty()) {
      queue.runnable = false;
      if (lane.hwm != 0 && lane.empty()) lane.hwm = 0;
    }
    offer(to);
    set_runnable(queue);
    if (turns_.crowded()) forget_turns();
  }
  if (ready_.empty()) return false;
  grant = ready_.front();
  ready_.pop_front();
  return true;
}

void Scheduler::set_items(Engine& engine, std::uint64_t items) {
  // What takes slots is not handed out ahead of need.
  const bool crowded = items > 1 && engine.used == 0;
  if (engine.crowded != crowded) crowded_.set(engine.id, crowded);
  engine.crowded = crowded;
  engine.items = items;
}

void Scheduler::note_idle(Engine& engine, bool was_idle) {
  if (engine.idle() == was_idle || !engine.present()) return;
  if (was_idle) {
    --idle_;
    engine.watched = false;
  } else {
    ++idle_;
  }
}

void Scheduler::hand_out(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  set_used(engine, engine.used + entry.terms->slots);
  set_items(engine, engine.items + (end - begin));
  granted_[static_cast<std::size_t>(engine.id)] = ++hand_outs_;
  ++entry.terms->lane->in_hand;
  insert(engine, hand_outs(engine), {entry.terms, entry.call, begin, end - begin});
  note_idle(engine, was_idle);
}

// Items [begin, end), which are some of those of a hand-out, are no longer the engine's.
void Scheduler::let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  const Held& part = held(engine, index);
  const std::uint16_t slots = part.terms->slots;
  Lane& lane = *part.terms->lane;
  const std::uint64_t first = part.first;
  const std::uint64_t last = part.end();
  if (begin == first && end == last) {
    --lane.in_hand;
    set_used(engine, engine.used - slots);
    erase(engine, index);
  } else if (begin == first) {
    cut(engine, index, end, last);
  } else {
    if (end != last) {
      ++lane.in_hand;
      set_used(engine, engine.used + slots);
      insert(engine, index + 1, {part.terms, part.call, end, last - end});
    }
    cut(engine, index, first, begin);
  }
  set_items(engine, engine.items - (end - begin));
  note_idle(engine, was_idle);
}

void Scheduler::finished(int id, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy) {
  Engine& by = engine(id);
  rests_[static_cast<std::size_t>(id)].behind.prefetch();
  if (!by.live || begin == end) return;
  const std::uint64_t count = end - begin;
  Duration* kind = nullptr;
  // Mostly it is the first.
  for (std::size_t i = 0; begin != end && i < hand_outs(by);) {
    const Held& part = held(by, i);
    if (part.call != call || begin < part.first || begin >= part.end()) {
      ++i;
      continue;
    }
    const std::uint64_t until = std::min(end, part.end());
    kind = part.terms->kind;
    let_go(by, i, begin, until);
    begin = until;
    i = 0;
  }
  by.ended += count;
  by.overdue = false;
  if (kind != nullptr) kind->learn(count, busy);
  offer(by);
}

void Scheduler::suspended(int id, std::uint64_t items) {
  Engine& by = engine(id);
  const bool was_idle = by.idle();
  by.suspended = static_cast<std::uint32_t>(items);
  note_idle(by, was_idle);
  offer(by);
}

Load Scheduler::load(int id) const {
  const Engine& of = engine(id);
  Load load;
  if (const Lane* const bound = rest(of).bound; bound != nullptr) {
    for (const auto& queue : bound->queues) {
      queue->entries.for_each([&load](const Entry& entry) { load.waiting += entry.left(); });
    }
  }
  load.handed_out = of.items;
  load.ended = of.ended;
  return load;
}

}  // namespace rankview::scheduler
