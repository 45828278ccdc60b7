// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <set>
#include <utility>

// Work that waits: where it stands, and whom it may not go to.
namespace rankview::scheduler {
namespace {

bool contains(const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

}  // namespace

// ---- queues ------------------------------------------------------------------------------------------------------------------

Queue& Scheduler::queue_for(TargetSet& targets, const Terms& terms, std::vector<int> avoid) {
  // What one engine is to do is done in order.
  QueueId id = targets.bound ? QueueId() : QueueId(terms.priority, terms.submitter, std::move(avoid), terms.slots);
  for (const auto& queue : targets.queues) {
    if (queue->id == id) return *queue;
  }
  // One that is not needed any more will do.
  for (const auto& queue : targets.queues) {
    if (!queue->entries.empty() || queue->listed != 0) continue;
    queue->id = std::move(id);
    queue->turn = 0;
    return *queue;
  }
  targets.queues.push_back(std::make_unique<Queue>());
  Queue& queue = *targets.queues.back();
  queue.targets = &targets;
  queue.number = target_sets_.number_queue();
  queue.id = std::move(id);
  return queue;
}

void Scheduler::drop_if_unused(Queue& queue) {
  TargetSet& targets = *queue.targets;
  if (!queue.entries.empty() || queue.listed != 0 || targets.queues.size() == 1) return;
  std::erase_if(targets.queues, [&queue](const auto& q) { return q.get() == &queue; });
}

void Scheduler::set_runnable(TargetSet& targets) {
  for (const auto& queue : targets.queues) set_runnable(*queue);
}

void Scheduler::set_runnable(Queue& queue) {
  const TargetSet& targets = *queue.targets;
  if (targets.waits_for_gang || queue.entries.empty() || (targets.idle.empty() && targets.hungry.empty())) return;
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
  for (const auto& targets : target_sets_.all()) {
    for (const auto& queue : targets->queues) {
      if (!queue->entries.empty()) used.insert(std::get<0>(queue->id));
    }
  }
  turns_.forget([&used](std::int32_t priority) { return !used.contains(priority); });
  for (const auto& targets : target_sets_.all()) {
    for (const auto& queue : targets->queues) {
      if (!used.contains(std::get<0>(queue->id))) queue->turn = 0;
    }
  }
}

// ---- work --------------------------------------------------------------------------------------------------------------------

// Mostly what is submitted next has the same.
SharedTerms Scheduler::terms_of(TargetSet& targets, const Work& work) {
  Terms terms;
  terms.targets = &targets;
  terms.kind = &durations_.of(work.kind);
  terms.item_bytes = work.item_bytes;
  terms.submitter = work.submitter;
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
  return enqueue({terms_of(target_set_for(placement), work), work.call, work.first, work.count, work.chunks});
}

// That is how it mostly is where calls come one by one. Turns are for what waits, so this does not count as one.
bool Scheduler::submit_at_once(const Work& work, const Placement& placement, Grant& grant) {
  if (paused_ || waiting_ != 0 || engines_.idle() == 0 || work.count != 1 || work.hwm != 0 || work.least_slots > engines_.least_slots() ||
      work.slots != 0 || work.avoid != nullptr)
    return false;
  const bool bound = placement.kind == Placement::Kind::bound;
  TargetSet& everyone = target_sets_.everyone();
  if (!bound && (placement.kind != Placement::Kind::anyone || work.policy != Policy::least_load || everyone.idle.empty())) return false;
  Engine& to = engine(bound ? placement.engine : everyone.idle.front());
  if (!to.present() || !to.idle() || to.kept) return false;
  TargetSet& targets = bound ? bound_set(to.id) : everyone;
  Listed& where = listed(targets, to);
  if (where.idle && targets.idle.front() == to.id) {
    targets.idle.pop_front();
    where.idle = false;
  }
  const Entry entry{terms_of(targets, work), work.call, work.first, 1, 1};
  const Duration& kind = *entry.terms->kind;
  grant = {to.id, work.call, work.first, work.first + 1, kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow)};
  assign(to, entry, work.first, work.first + 1);
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
    TargetSet& targets = bound_set(engines[i]);
    SharedTerms terms = terms_of(targets, own);
    Queue& queue = queue_for(targets, *terms, {});
    queue.entries.append({std::move(terms), work.call, work.first + i, 1, 1, 0, gang});
    set_runnable(queue);
  }
}

// Whom work of this target set is to be kept from: nothing if that is everybody.
std::optional<std::vector<int>> Scheduler::avoided(const TargetSet& targets, const Terms& terms) const {
  const Avoid* const avoid = terms.avoid.get();
  const bool fits_all = terms.least_slots <= engines_.least_slots();
  if (avoid == nullptr && fits_all) return std::vector<int>();
  std::vector<int> refused;
  const auto add = [&](const std::vector<int>& ids, std::vector<int>& to) {
    for (const int id : ids) {
      if (live(id) && !contains(to, id) && in(targets, engine(id))) to.push_back(id);
    }
    std::sort(to.begin(), to.end());
  };
  if (!fits_all) {
    for (const Engine& member : engines_) {
      if (member.live && member.slots < terms.least_slots && in(targets, member)) refused.push_back(member.id);
    }
  }
  if (avoid != nullptr) add(avoid->refused, refused);
  if (refused.size() == targets.engines) return std::nullopt;
  std::vector<int> all = refused;
  if (avoid != nullptr) add(avoid->tried, all);
  return all.size() == targets.engines ? refused : all;
}

// False if nobody may run it.
bool Scheduler::enqueue(Entry entry) {
  const Terms& terms = *entry.terms;
  TargetSet& targets = *terms.targets;
  if (targets.engines == 0) return false;
  auto avoid = avoided(targets, terms);
  if (!avoid) return false;
  Queue& queue = queue_for(targets, terms, std::move(*avoid));
  waiting_ += entry.count;
  if (queue.entries.empty()) queue.turn = std::max(queue.turn, turns_.of(terms.priority));
  if (terms.hwm > targets.hwm && terms.hwm > 1) {
    targets.hwm = terms.hwm;
    for (Engine& member : engines_) {
      if (in(targets, member)) offer(targets, member);
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
  } else if (queue.targets->bound) {
    entries.append(std::move(entry));
  } else {
    entries.insert(std::move(entry));
  }
}

template <class F>
void Scheduler::for_target_sets(const Placement& placement, F f) {
  const auto bound = [&](int id) {
    if (TargetSet* const targets = live(id) ? rest(engine(id)).bound : nullptr; targets != nullptr) f(*targets);
  };
  if (placement.kind == Placement::Kind::together) {
    for (const int id : *placement.engines) bound(id);
  } else if (placement.kind == Placement::Kind::bound) {
    bound(placement.engine);
  } else {
    f(target_set_for(placement));
  }
}

void Scheduler::withdraw(std::uint64_t call, const Placement& placement) {
  for_target_sets(placement, [&](TargetSet& targets) {
    for (const auto& queue : targets.queues) {
      Entries& entries = queue->entries;
      // Those within stay as gaps, since calls may be given up in any order.
      const auto give_up = [&](Entry& entry) {
        if (entry.call != call || entry.over()) return;
        if (targets.waits_for_gang && &entry == &entries.front()) targets.waits_for_gang = false;
        waiting_ -= entry.left();
        entry.chunk = entry.chunks;
      };
      if (targets.bound) {
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
  for_target_sets(placement, [&](TargetSet& targets) {
    for (const auto& queue : targets.queues) {
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
