// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include "marks/mark.hpp"

#include <algorithm>
#include <utility>

// What was handed out ahead of need and then waits behind a long item is taken back.
namespace rankview::scheduler {
namespace {

// So many engines are looked at in a call, while somebody has nothing to do, and else.
constexpr std::size_t looks = 1024;
constexpr std::size_t looks_in_passing = 128;

}  // namespace

// Whether the engine has ended nothing for long, as far as one can tell from looks like this.
bool Scheduler::overdue(Engine& engine, Nanoseconds now) {
  Rest& seen = rest(engine);
  if (!engine.watched || engine.ended != seen.ended_when_watched) {
    engine.watched = true;
    seen.watched_since = now;
    seen.ended_when_watched = engine.ended;
    return false;
  }
  return now - seen.watched_since >= (engines_.idle() != 0 ? limits_.overdue : limits_.stuck);
}

// Whether it has more than it would be handed by now, while somebody else has nothing to do: its items have become longer.
bool Scheduler::overloaded(const Engine& engine) const {
  if (engines_.idle() == 0 || waiting_ != 0) return false;
  const auto time = time_in_hand(engine);
  return time && *time > stretched(limits_.in_hand);
}

// Whether an engine with nothing to do could run this, or, where everybody is busy, any other.
bool Scheduler::has_taker(TargetSet& targets, const Avoid* avoid) {
  if (engines_.idle() == 0) return targets.engines > 1;
  const auto kept_from = [](const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  const auto idles = [this](int id) { return engine(id).present() && engine(id).idle(); };
  while (!targets.idle.empty() && !idles(targets.idle.front())) {
    Engine& stale = engine(targets.idle.front());
    targets.idle.pop_front();
    if (stale.live) listed(targets, stale).idle = false;
  }
  return std::any_of(targets.idle.begin(), targets.idle.end(), [&](int id) {
    if (!idles(id)) return false;
    return avoid == nullptr || (!kept_from(avoid->refused, id) && !kept_from(avoid->tried, id));
  });
}

// What it could give back: what others may run, but for the item that it is at. `to_takers`: only what one of them could begin now.
std::vector<Range> Scheduler::recallable(Engine& engine, bool to_takers) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < assignments(engine); ++i) {
    const Assignment& part = assignment(engine, i);
    const bool whole = part.whole();
    const std::uint64_t begin = i == 0 && !whole ? part.first + 1 : part.first;
    const bool running = i == 0 && (whole || part.count == 1);
    if (running || !part.terms->targets->recallable()) continue;
    if (to_takers && !has_taker(*part.terms->targets, part.terms->avoid.get())) continue;
    ranges.push_back({part.call, begin, part.end(), whole});
  }
  return ranges;
}

std::optional<Recall> Scheduler::recall(Nanoseconds now) {
  if (!unbalanced()) return std::nullopt;
  for (std::size_t i = std::min(engines_.idle() != 0 ? looks : looks_in_passing, engines_.crowded()); i != 0; --i) {
    Engine& holder = engines_.next_crowded();
    if (holder.recalling || holder.idle() || rest(holder).ended_when_kept == holder.ended) continue;
    if (overdue(holder, now)) {
      RANKVIEW_MARK(found_overdue);
      holder.overdue = true;
    } else if (!overloaded(holder)) {
      continue;
    }
    std::vector<Range> ranges = recallable(holder, true);
    if (ranges.empty()) continue;
    holder.recalling = true;
    return Recall{holder.id, std::move(ranges)};
  }
  return std::nullopt;
}

std::vector<Recall> Scheduler::recall_all() {
  std::vector<Recall> recalls;
  for (Engine& holder : engines_) {
    if (!holder.present() || holder.idle()) continue;
    std::vector<Range> ranges = recallable(holder, false);
    if (ranges.empty()) continue;
    holder.recalling = true;
    recalls.push_back({holder.id, std::move(ranges)});
  }
  return recalls;
}

void Scheduler::returned(int id, const std::vector<Range>& ranges) {
  Engine& from = engine(id);
  if (!from.present()) return;
  from.recalling = false;
  from.watched = false;
  // It is not to be asked again before something has changed.
  if (ranges.empty()) rest(from).ended_when_kept = from.ended;
  for (const Range& range : ranges) {
    for (std::size_t i = 0; i < assignments(from);) {
      const Assignment& part = assignment(from, i);
      const std::uint64_t begin = std::max(range.begin, part.first);
      const std::uint64_t end = std::min(range.end, part.end());
      if (part.call != range.call || begin >= end) {
        ++i;
        continue;
      }
      const std::uint64_t items = end - begin;
      Entry back{part.terms, part.call, begin, items, part.terms->in_chunks ? 1 : items};
      let_go(from, i, begin, end);
      enqueue(std::move(back));
      i = 0;  // the assignments have moved
    }
  }
  offer(from);
}

}  // namespace rankview::scheduler
