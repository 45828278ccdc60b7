// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

// Work that waits: where it stands, and whom it may not go to.
namespace rankview::scheduler {
namespace {

bool contains(const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

}  // namespace

std::uint64_t Scheduler::Entry::boundary(std::uint64_t chunk_index) const {
  if (chunks == count) return first + chunk_index;
  const std::uint64_t size = count / chunks;
  const std::uint64_t longer = count % chunks;
  return first + chunk_index * size + std::min(chunk_index, longer);
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
                                [](const Entry& there, std::uint64_t wanted) { return there.call < wanted; });
  for (; entry != in_order_.end() && entry->call == call; ++entry) f(*entry);
  Entry first;
  first.call = call;
  for (auto late = late_.lower_bound(first); late != late_.end() && late->call == call; ++late) f(const_cast<Entry&>(*late));
}

std::vector<Scheduler::Entry> Scheduler::Entry::cut_out(std::uint64_t item) {
  std::vector<Entry> rest;
  const auto keep = [&](std::uint64_t begin, std::uint64_t end, std::uint64_t in_chunks) {
    if (begin != end) rest.push_back({terms, call, begin, end - begin, in_chunks});
  };
  if (!terms->in_chunks) {
    keep(item + 1, end(), end() - item - 1);
    count = item - first;
    chunks = count;
    return rest;
  }
  for (std::uint64_t at = chunk; at < chunks; ++at) {
    const std::uint64_t begin = boundary(at);
    const std::uint64_t behind = boundary(at + 1);
    if (item < begin || item >= behind) {
      keep(begin, behind, 1);
    } else {
      keep(begin, item, 1);
      keep(item + 1, behind, 1);
    }
  }
  chunk = chunks;
  return rest;
}

bool Scheduler::Entries::cut_out(std::uint64_t call, std::uint64_t item) {
  const auto has = [&](const Entry& entry) { return entry.call == call && entry.gang == nullptr && entry.has(item); };
  // What is left stands in its place.
  if (const auto entry = std::find_if(in_order_.begin(), in_order_.end(), has); entry != in_order_.end()) {
    std::vector<Entry> rest = entry->cut_out(item);
    in_order_.insert(std::next(entry), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return true;
  }
  const auto entry = std::find_if(late_.begin(), late_.end(), has);
  if (entry == late_.end()) return false;
  Entry cut = std::move(late_.extract(entry).value());
  for (Entry& part : cut.cut_out(item)) late_.insert(std::move(part));
  if (!cut.over()) late_.insert(std::move(cut));
  return true;
}

// ---- queues ------------------------------------------------------------------------------------------------------------------

Scheduler::Queue& Scheduler::queue_for(Lane& lane, const Terms& terms, std::vector<int> avoid) {
  // What one engine is to do is done in order.
  QueueId id = lane.bound ? QueueId() : QueueId(terms.priority, terms.flow, std::move(avoid), terms.slots);
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
  queue.number = queues_++;
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
  const Key key{-static_cast<std::int64_t>(queue.priority()), queue.turn, queue.entries.front().call, queue.number};
  if (queue.runnable && queue.key == key) return;
  queue.runnable = true;
  queue.key = key;
  ++queue.listed;
  runnable_.emplace(key, &queue);
}

// Of priorities of which nothing waits. Their queues, which are empty, begin with the next work as new ones do.
void Scheduler::forget_turns() {
  std::set<std::int32_t> used;
  for (const auto& lane : lanes_) {
    for (const auto& queue : lane->queues) {
      if (!queue->entries.empty()) used.insert(std::get<0>(queue->id));
    }
  }
  turns_.forget([&used](std::int32_t priority) { return !used.contains(priority); });
  for (const auto& lane : lanes_) {
    for (const auto& queue : lane->queues) {
      if (!used.contains(std::get<0>(queue->id))) queue->turn = 0;
    }
  }
}

// ---- work --------------------------------------------------------------------------------------------------------------------

Scheduler::Duration& Scheduler::duration(std::uint64_t kind) {
  if (last_duration_.second == nullptr || last_duration_.first != kind) last_duration_ = {kind, &durations_[kind]};
  return *last_duration_.second;
}

// Mostly what is submitted next has the same.
Scheduler::SharedTerms Scheduler::terms_of(Lane& lane, const Work& work) {
  Terms terms;
  terms.lane = &lane;
  terms.kind = &duration(work.kind);
  terms.item_bytes = work.item_bytes;
  terms.flow = work.flow;
  terms.hwm = work.hwm;
  terms.priority = work.priority;
  terms.slots = work.slots;
  terms.least_slots = std::max(work.slots, work.least_slots);
  terms.policy = work.policy;
  terms.alone = work.alone;
  terms.in_chunks = work.chunks != work.count;
  terms.avoid = work.avoid;
  if (last_terms_ == nullptr || last_terms_->tie() != terms.tie()) last_terms_ = new Terms(std::move(terms));
  return last_terms_;
}

bool Scheduler::submit(const Work& work, const Placement& placement) {
  if (work.count == 0) return true;
  if (placement.kind == Placement::Kind::together) {
    submit_together(work, *placement.engines);
    return true;
  }
  return enqueue({terms_of(lane_for(placement), work), work.call, work.first, work.count, work.chunks});
}

// That is how it mostly is where calls come one by one. Turns are for what waits, so this does not count as one.
bool Scheduler::submit_at_once(const Work& work, const Placement& placement, Grant& grant) {
  if (paused_ || waiting_ != 0 || idle_ == 0 || work.count != 1 || work.hwm != 0 || work.least_slots > least_slots_ || work.slots != 0 ||
      work.avoid != nullptr)
    return false;
  const bool bound = placement.kind == Placement::Kind::bound;
  if (!bound && (placement.kind != Placement::Kind::anyone || work.policy != Policy::least_load || everyone_->idle.empty())) return false;
  Engine& to = engine(bound ? placement.engine : everyone_->idle.front());
  if (!to.present() || !to.idle() || to.kept) return false;
  Lane& lane = bound ? bound_lane(to.id) : *everyone_;
  Listed& where = listed(lane, to);
  if (where.idle && lane.idle.front() == to.id) {
    lane.idle.pop_front();
    where.idle = false;
  }
  const Entry entry{terms_of(lane, work), work.call, work.first, 1, 1};
  const Duration& kind = *entry.terms->kind;
  grant = {to.id, work.call, work.first, work.first + 1, kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow)};
  hand_out(to, entry, work.first, work.first + 1);
  offer(to);
  return true;
}

void Scheduler::submit_together(const Work& work, const std::vector<int>& engines) {
  const auto gang = std::make_shared<Gang>();
  gang->engines = engines;
  waiting_ += work.count;
  Work own = work;
  own.chunks = own.count;
  own.alone = true;  // what follows is not to be merged with it
  for (std::size_t i = 0; i < engines.size(); ++i) {
    Lane& lane = bound_lane(engines[i]);
    SharedTerms terms = terms_of(lane, own);
    Queue& queue = queue_for(lane, *terms, {});
    queue.entries.append({std::move(terms), work.call, work.first + i, 1, 1, 0, gang});
    set_runnable(queue);
  }
}

// Whom work of this lane is to be kept from: nothing if that is everybody.
std::optional<std::vector<int>> Scheduler::avoided(const Lane& lane, const Terms& terms) const {
  const Avoid* const avoid = terms.avoid.get();
  const bool fits_all = terms.least_slots <= least_slots_;
  if (avoid == nullptr && fits_all) return std::vector<int>();
  std::vector<int> refused;
  const auto add = [&](const std::vector<int>& ids, std::vector<int>& to) {
    for (const int id : ids) {
      if (live(id) && !contains(to, id) && in(lane, engine(id))) to.push_back(id);
    }
    std::sort(to.begin(), to.end());
  };
  if (!fits_all) {
    for (const Engine& member : engines_) {
      if (member.live && member.slots < terms.least_slots && in(lane, member)) refused.push_back(member.id);
    }
  }
  if (avoid != nullptr) add(avoid->refused, refused);
  if (refused.size() == lane.engines) return std::nullopt;
  std::vector<int> all = refused;
  if (avoid != nullptr) add(avoid->tried, all);
  return all.size() == lane.engines ? refused : all;
}

// False if nobody may run it.
bool Scheduler::enqueue(Entry entry) {
  const Terms& terms = *entry.terms;
  Lane& lane = *terms.lane;
  if (lane.engines == 0) return false;
  auto avoid = avoided(lane, terms);
  if (!avoid) return false;
  Queue& queue = queue_for(lane, terms, std::move(*avoid));
  waiting_ += entry.count;
  if (queue.entries.empty()) queue.turn = std::max(queue.turn, turns_.of(terms.priority));
  if (terms.hwm > lane.hwm && terms.hwm > 1) {
    lane.hwm = terms.hwm;
    for (Engine& member : engines_) {
      if (in(lane, member)) offer(lane, member);
    }
  }
  insert(queue, std::move(entry));
  set_runnable(queue);
  return true;
}

void Scheduler::insert(Queue& queue, Entry entry) {
  Entries& entries = queue.entries;
  const auto mergeable = [](const Entry& part) { return !part.terms->alone && !part.terms->in_chunks; };
  // A map arrives in pieces; in the queue it is one.
  if (Entry* const last = entries.last(); last != nullptr && last->call == entry.call && last->end() == entry.first && mergeable(*last) &&
                                          mergeable(entry) && last->terms->avoid == entry.terms->avoid) {
    last->count += entry.count;
    last->chunks += entry.chunks;
  } else if (queue.lane->bound) {
    entries.append(std::move(entry));
  } else {
    entries.insert(std::move(entry));
  }
}

template <class F>
void Scheduler::for_lanes(const Placement& placement, F f) {
  const auto bound = [&](int id) {
    if (Lane* const lane = live(id) ? rest(engine(id)).bound : nullptr; lane != nullptr) f(*lane);
  };
  if (placement.kind == Placement::Kind::together) {
    for (const int id : *placement.engines) bound(id);
  } else if (placement.kind == Placement::Kind::bound) {
    bound(placement.engine);
  } else {
    f(lane_for(placement));
  }
}

void Scheduler::withdraw(std::uint64_t call, const Placement& placement) {
  for_lanes(placement, [&](Lane& lane) {
    for (const auto& queue : lane.queues) {
      Entries& entries = queue->entries;
      // Those within stay as gaps, since calls may be given up in any order.
      const auto give_up = [&](Entry& entry) {
        if (entry.call != call || entry.over()) return;
        if (lane.held && &entry == &entries.front()) lane.held = false;
        waiting_ -= entry.left();
        entry.chunk = entry.chunks;
      };
      if (lane.bound) {
        entries.for_each(give_up);
      } else {
        entries.for_each_of(call, give_up);
      }
      if (entries.empty() || (!entries.front().over() && entries.front().gang == nullptr)) continue;
      skip_over(*queue);
    }
  });
}

bool Scheduler::withdraw(std::uint64_t call, std::uint64_t item, const Placement& placement) {
  bool found = false;
  for_lanes(placement, [&](Lane& lane) {
    for (const auto& queue : lane.queues) {
      if (found || !queue->entries.cut_out(call, item)) continue;
      found = true;
      --waiting_;
      if (queue->entries.front().over()) skip_over(*queue);
    }
  });
  return found;
}

// The entry in front may be over, or another than before.
void Scheduler::skip_over(Queue& queue) {
  queue.entries.skip_over();
  queue.runnable = false;
  if (queue.entries.empty()) release(queue);
  set_runnable(queue);
}

}  // namespace rankview::scheduler
