// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <utility>

// What was handed out ahead of need and then waits behind a long item is taken back.
namespace rankview::scheduler {
namespace {

// So many engines are looked at in a call, while somebody has nothing to do, and else.
constexpr std::size_t looks = 4096;
constexpr std::size_t looks_in_passing = 128;

}  // namespace

// Whether the engine has ended nothing for long, as far as one can tell from looks like this.
bool Scheduler::overdue(Engine& engine, Nanoseconds now) const {
  if (engine.watched_since < 0 || engine.ended != engine.ended_when_watched) {
    engine.watched_since = now;
    engine.ended_when_watched = engine.ended;
    return false;
  }
  return now - engine.watched_since >= (idle_ != 0 ? limits_.overdue : limits_.stuck);
}

// Whether an engine with nothing to do could run this, or, where everybody is busy, any other.
bool Scheduler::has_taker(Lane& lane, const Work& work) {
  if (idle_ == 0) return lane.engines > 1;
  return std::any_of(lane.idle.begin(), lane.idle.end(), [&](int id) {
    const Engine& candidate = engine(id);
    if (!candidate.live || !candidate.idle()) return false;
    return work.avoid == nullptr || (std::find(work.avoid->refused.begin(), work.avoid->refused.end(), id) == work.avoid->refused.end() &&
                                     std::find(work.avoid->tried.begin(), work.avoid->tried.end(), id) == work.avoid->tried.end());
  });
}

// What it could give back: what others may run, but for the item that it is at.
std::vector<Range> Scheduler::recallable(Engine& engine) {
  std::vector<Range> ranges;
  bool first = true;
  for (const Held& held : engine.held) {
    const Work& work = held.work;
    const bool whole = work.chunks == 1 && work.count > 1;
    const std::uint64_t begin = first && !whole ? work.first + 1 : work.first;
    const bool running = first && (whole || work.count == 1);
    first = false;
    if (running || !held.lane->recallable() || !has_taker(*held.lane, work)) continue;
    ranges.push_back({work.call, begin, work.first + work.count, whole});
  }
  return ranges;
}

std::optional<Recall> Scheduler::recall(Nanoseconds now) {
  if (!unbalanced()) return std::nullopt;
  for (std::size_t i = 0; i < std::min(idle_ != 0 ? looks : looks_in_passing, engines_.size()); ++i) {
    if (next_watched_ >= engines_.size()) next_watched_ = 0;
    Engine& holder = engines_[next_watched_++];
    if (!holder.live || holder.items < 2 || holder.recalling || !overdue(holder, now)) continue;
    holder.overdue = true;
    std::vector<Range> ranges = recallable(holder);
    if (ranges.empty()) continue;
    holder.recalling = true;
    return Recall{holder.id, std::move(ranges)};
  }
  return std::nullopt;
}

void Scheduler::returned(int id, const std::vector<Range>& ranges) {
  Engine& from = engine(id);
  if (!from.live) return;
  from.recalling = false;
  from.watched_since = -1;
  for (const Range& range : ranges) {
    for (std::size_t i = 0; i < from.held.size(); ++i) {
      const Held& held = from.held[i];
      const std::uint64_t begin = std::max(range.begin, held.work.first);
      const std::uint64_t end = std::min(range.end, held.work.first + held.work.count);
      if (held.work.call != range.call || begin >= end) continue;
      Lane& lane = *held.lane;
      Work back = held.work;
      back.first = begin;
      back.count = end - begin;
      back.chunks = held.work.chunks == 1 ? 1 : back.count;
      let_go(from, i, begin, end);
      enqueue(lane, back);
      i = static_cast<std::size_t>(-1);  // the hand-outs have moved
    }
  }
  offer(from);
}

}  // namespace rankview::scheduler
