// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace rankview::scheduler {

// ---- what engines have in hand -----------------------------------------------------------------------------------------------

// Nanoseconds of work; nothing if some of it is of unknown kind.
std::optional<double> Scheduler::time_in_hand(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  const auto oldest = engine.oldest.time();
  if (!engine.more || !oldest) return oldest;
  const auto more = rest(engine).backlog.time();
  return more ? std::optional(*oldest + *more) : std::nullopt;
}

std::uint64_t Scheduler::items_of(const Engine& engine, const Duration& kind) const {
  if (engine.oldest.terms == nullptr) return 0;
  const std::uint64_t oldest = engine.oldest.terms->kind == &kind ? engine.oldest.count : 0;
  return oldest + (engine.more ? rest(engine).backlog.items_of(kind) : 0);
}

std::size_t Scheduler::assignments(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  return 1 + (engine.more ? rest(engine).backlog.size() : 0);
}

// As number `index` of what it has; the oldest stays.
void Scheduler::insert(Engine& engine, std::size_t index, Assignment assignment) {
  if (index == 0) {
    engine.oldest = std::move(assignment);
  } else {
    rest(engine).backlog.insert(index - 1, std::move(assignment));
    engine.more = true;
  }
}

void Scheduler::erase(Engine& engine, std::size_t index) {
  if (!engine.more) {
    engine.oldest = {};
    return;
  }
  Backlog& backlog = rest(engine).backlog;
  if (index == 0) {
    engine.oldest = backlog.take(0);
  } else {
    backlog.take(index - 1);
  }
  engine.more = backlog.size() != 0;
}

void Scheduler::cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end) {
  if (index == 0) {
    engine.oldest.cut(first, end);
  } else {
    rest(engine).backlog.cut(index - 1, first, end);
  }
}

// ---- who wants something -----------------------------------------------------------------------------------------------------

// Whether an engine should get more from this target set now.
bool Scheduler::wants(const TargetSet& targets, const Engine& engine) const {
  if (!engine.present() || (engines_.aside() != 0 && !team_present(targets, engine))) return false;
  if (engine.idle()) return true;
  if (engine.used != 0) return engine.used < engine.slots;
  if (targets.bound && engine.items < limits_.bound_items) return true;
  if (engine.items < targets.hwm) return true;
  if (engine.overdue) return false;
  const auto time = time_in_hand(engine);
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
  if (!queue.targets->bound && items_of(engine, kind) >= std::max<std::uint64_t>(1, kind.samples)) return false;
  // It was asked in for another entry's sake.
  return queue.targets->hwm == 0 || (!engine.overdue && time_in_hand(engine).value_or(1e300) < static_cast<double>(limits_.longest_ahead));
}

void Scheduler::offer(TargetSet& targets, Listed& listed, Engine& engine) {
  if (!wants(targets, engine)) return;
  const bool idle = engine.idle();
  bool& there = idle ? listed.idle : listed.hungry;
  if (!there) (idle ? targets.idle : targets.hungry).push_back(engine.id);
  there = true;
  set_runnable(targets);
}

void Scheduler::offer(Engine& engine) {
  offer(target_sets_.everyone(), engine.listed, engine);
  if (!engine.joined) return;
  for (Membership& membership : rest(engine).target_sets) offer(*membership.targets, membership.listed, engine);
}

void Scheduler::unlist(TargetSet& targets, Engine& engine) {
  Listed& where = listed(targets, engine);
  const auto remove = [&engine](std::deque<int>& list, bool& there) {
    if (!std::exchange(there, false)) return;
    if (list.front() == engine.id) {
      list.pop_front();
    } else {
      list.erase(std::find(list.begin(), list.end(), engine.id));
    }
  };
  remove(targets.idle, where.idle);
  remove(targets.hungry, where.hungry);
}

// ---- handing out -------------------------------------------------------------------------------------------------------------

// Takes the first engine out of a list that may be handed what comes next, -1 if there is none, and those that do not belong there.
int Scheduler::take_first(Queue& queue, std::deque<int>& list, bool idle) {
  TargetSet& targets = *queue.targets;
  for (std::size_t i = 0; i < list.size();) {
    Engine& candidate = engine(list[i]);
    const bool belongs = (!idle || candidate.idle()) && wants(targets, candidate);
    const bool taken = belongs && accepts(candidate, queue, queue.entries.front());
    if (belongs && !taken) {
      ++i;
      continue;
    }
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    if (!candidate.live) continue;
    Listed& where = listed(targets, candidate);
    (idle ? where.idle : where.hungry) = false;
    if (taken) return candidate.id;
    if (idle) offer(targets, where, candidate);
  }
  return -1;
}

// The engine to serve from this queue, -1 if none wants anything. It no longer stands in the list where it was found.
int Scheduler::pick(Queue& queue) {
  if (queue.entries.front().terms->policy != Policy::least_load && !queue.targets->bound) return draw(queue);
  const int id = take_first(queue, queue.targets->idle, true);
  return id >= 0 ? id : take_first(queue, queue.targets->hungry, false);
}

// How many chunks to hand out.
std::uint64_t Scheduler::portion(const Engine& engine, const Entry& entry) const {
  const Terms& terms = *entry.terms;
  const TargetSet& targets = *terms.targets;
  if (terms.alone || terms.slots != 0) return 1;
  const std::uint64_t left = entry.chunks - entry.chunk;
  const std::uint64_t chunk_items = std::max<std::uint64_t>(1, entry.count / entry.chunks);
  const std::uint64_t by_bytes = terms.item_bytes == 0 ? left : limits_.batch_bytes / (terms.item_bytes * chunk_items);
  const double chunk_time = std::max(1.0, terms.kind->mean * static_cast<double>(chunk_items));
  const bool known = terms.kind->samples != 0;
  if (targets.bound) {
    // Short ones by time, as for everyone; long ones by number.
    const std::uint64_t by_number = limits_.bound_items > engine.items ? (limits_.bound_items - engine.items) / chunk_items : 0;
    const auto by_time = known ? static_cast<std::uint64_t>(stretched(limits_.batch) / chunk_time) : 0;
    return std::max<std::uint64_t>(1, std::min({std::max(by_number, by_time), by_bytes, left}));
  }
  if (!known) return 1;
  const double room = std::min(stretched(limits_.batch), stretched(limits_.in_hand) - time_in_hand(engine).value_or(0));
  const auto by_time = static_cast<std::uint64_t>(std::max(0.0, room) / chunk_time);
  const std::uint64_t share = left / (2 * targets.engines);
  const std::uint64_t trusted = (terms.kind->samples - std::min(terms.kind->samples, items_of(engine, *terms.kind))) / chunk_items;
  const std::uint64_t by_mark = terms.hwm == 0 ? left : (terms.hwm - std::min<std::uint64_t>(terms.hwm, engine.items)) / chunk_items;
  return std::max<std::uint64_t>(1, std::min({by_time, share, by_bytes, trusted, by_mark, left}));
}

// The target set has come to the gang's item. When all have, they are handed out.
void Scheduler::wait_for_gang(Queue& queue, Gang& gang) {
  queue.targets->waits_for_gang = true;
  queue.runnable = false;
  if (++gang.ready < gang.engines.size()) return;
  const std::vector<int> members = gang.engines;  // the gang goes with its last entry
  for (const int id : members) {
    Engine& member = engine(id);
    TargetSet& targets = *rest(member).bound;
    Queue& own = *targets.queues.front();
    const Entry entry = std::move(own.entries.front());
    own.entries.pop_front();
    own.entries.skip_over();  // what was given up meanwhile
    targets.waits_for_gang = false;
    --waiting_;
    ready_.push_back({id, entry.call, entry.first, entry.end()});
    assign(member, entry, entry.first, entry.end());
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
    TargetSet& targets = *queue.targets;
    Entry& entry = queue.entries.front();
    if (entry.gang != nullptr) {
      wait_for_gang(queue, *entry.gang);
      offer(targets, to);
      continue;
    }
    const Duration& kind = *entry.terms->kind;
    turns_.set(std::get<0>(queue.id), queue.turn);
    const std::uint64_t from = entry.chunk;
    entry.chunk += portion(to, entry);
    const std::uint64_t begin = entry.boundary(from);
    const std::uint64_t end = entry.boundary(entry.chunk);
    const double share = entry.terms->slots == 0 ? 1 : static_cast<double>(entry.terms->slots) / engines_.most_slots();
    if (kind.samples != 0) queue.turn += kind.mean * static_cast<double>(end - begin) * share;
    waiting_ -= end - begin;
    const bool whole = entry.terms->in_chunks;
    const bool slow = kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow);
    for (std::uint64_t chunk = from; chunk < entry.chunk; ++chunk) {
      // Chunks one by one, since none is to be split.
      const std::uint64_t first = entry.boundary(chunk);
      const std::uint64_t last = whole ? entry.boundary(chunk + 1) : end;
      ready_.push_back({id, entry.call, first, last, slow});
      assign(to, entry, first, last);
      if (const auto team = targets.followers.find(id); team != targets.followers.end()) {
        for (const int follower : team->second) {
          ready_.push_back({follower, entry.call, first, last, slow});
          assign(engine(follower), entry, first, last);
        }
      }
      if (!whole) break;
    }
    queue.entries.skip_over();
    if (queue.entries.empty()) {
      queue.runnable = false;
      if (targets.hwm != 0 && targets.empty()) targets.hwm = 0;
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

void Scheduler::assign(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  engines_.set_used(engine, engine.used + entry.terms->slots);
  engines_.set_items(engine, engine.items + (end - begin));
  engines_.note_granted(engine);
  ++entry.terms->targets->in_hand;
  insert(engine, assignments(engine), {entry.terms, entry.call, begin, end - begin});
  engines_.note_idle(engine, was_idle);
}

// Items [begin, end), which are some of those of an assignment, are no longer the engine's.
void Scheduler::let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  const Assignment& part = assignment(engine, index);
  const std::uint16_t slots = part.terms->slots;
  TargetSet& targets = *part.terms->targets;
  const std::uint64_t first = part.first;
  const std::uint64_t last = part.end();
  if (begin == first && end == last) {
    --targets.in_hand;
    engines_.set_used(engine, engine.used - slots);
    erase(engine, index);
  } else if (begin == first) {
    cut(engine, index, end, last);
  } else {
    if (end != last) {
      ++targets.in_hand;
      engines_.set_used(engine, engine.used + slots);
      insert(engine, index + 1, {part.terms, part.call, end, last - end});
    }
    cut(engine, index, first, begin);
  }
  engines_.set_items(engine, engine.items - (end - begin));
  engines_.note_idle(engine, was_idle);
}

void Scheduler::finished(int id, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy) {
  Engine& by = engine(id);
  rest(by).backlog.prefetch();
  if (!by.live || begin == end) return;
  const std::uint64_t count = end - begin;
  Duration* kind = nullptr;
  // Mostly it is the first.
  for (std::size_t i = 0; begin != end && i < assignments(by);) {
    const Assignment& part = assignment(by, i);
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
  engines_.note_idle(by, was_idle);
  offer(by);
}

Load Scheduler::load(int id) const {
  const Engine& of = engine(id);
  Load load;
  if (const TargetSet* const bound = rest(of).bound; bound != nullptr) {
    for (const auto& queue : bound->queues) {
      queue->entries.for_each([&load](const Entry& entry) { load.waiting += entry.left(); });
    }
  }
  load.handed_out = of.items;
  load.ended = of.ended;
  return load;
}

}  // namespace rankview::scheduler
