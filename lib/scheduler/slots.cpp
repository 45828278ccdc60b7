// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include "marks/mark.hpp"

#include <algorithm>
#include <utility>

// Work that engines run side by side, and how what needs much room comes by it.
namespace rankview::scheduler {

// Whether an engine that has something in hand can begin this beside it.
bool Scheduler::has_room(const Engine& engine, const Terms& terms) const {
  return engine.used != 0 && terms.slots != 0 && engine.used + terms.slots <= engine.slots;
}

// Whether the room that it has, or will have, is another queue's.
bool Scheduler::kept_from(const Engine& engine, const Queue& queue) const {
  const Queue& keeper = *rest(engine).kept_for;
  return &keeper != &queue && queue.priority() <= keeper.priority();
}

// Nobody has room for what comes next in the queue. If that might stay so, since others need less, one engine is handed nothing else from
// here on: the one that will probably have room first.
void Scheduler::keep_engine(Queue& queue) {
  if (queue.keeps >= 0 || queue.targets->waits_for_gang) return;
  const Terms& terms = *queue.entries.front().terms;
  // Whatever ends makes room for the smallest; and what takes all of an engine waits for what takes all of it anyway.
  if ((terms.slots == 0 && engines_.slotted() == 0) || (terms.slots == 1 && engines_.taken_whole() == 0)) return;
  const std::vector<int>& avoids = queue.avoids();
  // One that sits in a task that takes all of it may do so for long.
  const auto better = [](const Engine& a, const Engine& b) {
    const int left_of_a = a.used == 0 ? 0 : a.slots - a.used;
    const int left_of_b = b.used == 0 ? 0 : b.slots - b.used;
    if ((a.used == 0) != (b.used == 0)) return a.used != 0;
    return left_of_a != left_of_b ? left_of_a > left_of_b : a.items < b.items;
  };
  Engine* best = nullptr;
  for (Engine& member : engines_) {
    if (!member.present() || member.kept || member.idle() || !in(*queue.targets, member)) continue;
    if (member.used != 0 ? terms.slots == 1 : terms.slots == 0) continue;
    if (std::find(avoids.begin(), avoids.end(), member.id) != avoids.end()) continue;
    if (best == nullptr || better(member, *best)) best = &member;
  }
  if (best == nullptr) return;
  RANKVIEW_MARK(engine_kept_for_large);
  queue.keeps = best->id;
  best->kept = true;
  rest(*best).kept_for = &queue;
}

// The queue does not need the engine that is kept for it any more.
void Scheduler::release(Queue& queue) {
  if (queue.keeps < 0) return;
  Engine& kept = engine(std::exchange(queue.keeps, -1));
  kept.kept = false;
  rest(kept).kept_for = nullptr;
  offer(kept);
}

}  // namespace rankview::scheduler
