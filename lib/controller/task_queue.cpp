// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/task_queue.hpp"

#include "controller/items.hpp"

#include <rankview/flags.hpp>

#include <memory>
#include <utility>

namespace rankview::controller {

using detail::ArgumentBlock;
using detail::Call;
using detail::Spread;
using scheduler::Placement;

namespace {

constexpr bool same(Policy ours, scheduler::Policy theirs) { return static_cast<int>(ours) == static_cast<int>(theirs); }
static_assert(same(Policy::least_load, scheduler::Policy::least_load) && same(Policy::lru, scheduler::Policy::lru) &&
                  same(Policy::random, scheduler::Policy::random) && same(Policy::two_bin, scheduler::Policy::two_bin) &&
                  same(Policy::weighted, scheduler::Policy::weighted) && same(Policy::pack, scheduler::Policy::pack),
              "the flags' policies and the scheduler's are cast to each other");

// Calls of one kind take about equally long: those of the same code.
std::uint64_t kind_of(const Call& call) {
  return reinterpret_cast<std::uintptr_t>(call.function.thunk) * 31 + reinterpret_cast<std::uintptr_t>(call.function.code);
}

// Who may run all of a call, or of one whose engines have items of their own, this item.
Placement placement(const Call& call, std::uint64_t item) {
  const int close_to_arguments = call.life().more->deferred.placed;
  switch (call.spread) {
    case Spread::together:
      return Placement::together(call.engines);
    case Spread::teams:
      return Placement::to(call.life().more->teams);
    case Spread::pool:
      if (close_to_arguments >= 0) return Placement::bound(close_to_arguments);
      return call.engines.empty() ? Placement() : Placement::among(call.engines);
    case Spread::each:
    case Spread::blocks:
    case Spread::rank_0:
      break;
  }
  return Placement::bound(call.engines[item]);
}

}  // namespace

bool enqueued_as_they_come(const Call& call) { return in_pool(call) && call.chunk_size == 1; }

TaskQueue::TaskQueue(const Engines& engines) {
  for (int id = 0; id < engines.count(); ++id) scheduler_.add_engine(id, engines[id].slots);
}

void TaskQueue::submit(const scheduler::Work& work, const Placement& placement, Grants* at_once) {
  scheduler::Grant grant;
  if (at_once != nullptr && scheduler_.submit_at_once(work, placement, grant)) {
    at_once->push_back(grant);
  } else if (!scheduler_.submit(work, placement)) {
    stranded_.push_back({work.call, work.first, work.first + work.count});
  }
}

// Inline, since it is for every call.
scheduler::Work TaskQueue::work_for(const Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) const {
  scheduler::Work work;
  work.call = call.id;
  work.kind = kind_of(call);
  work.first = first;
  work.count = count;
  work.chunks = (count + call.chunk_size - 1) / call.chunk_size;
  work.item_bytes = block.data.bytes.size() / block.count;
  work.alone = !block.data.attachments.empty();
  work.submitter = call.life().submitter;
  work.priority = call.life().terms->priority;
  work.hwm = call.life().terms->hwm;
  // Where engines have one slot it has them for itself in any case, and may be handed out ahead of need.
  if (scheduler_.slotted() && call.life().terms->isolation != Isolation::none) work.slots = call.life().terms->slots;
  work.policy = static_cast<scheduler::Policy>(call.life().terms->policy);
  return work;
}

void TaskQueue::enqueue(const Call& call, const ArgumentBlock& block, Grants* at_once) {
  submit(work_for(call, block.first, block.count, block), placement(call, block.first), at_once);
}

void TaskQueue::enqueue(const Call& call, const ArgumentBlock& block, std::uint64_t first, std::uint64_t count) {
  submit(work_for(call, first, count, block), placement(call, first), nullptr);
}

void TaskQueue::enqueue(const Call& call, Grants* at_once) {
  const std::uint64_t count = call.life().items.size();
  const std::uint64_t engines = call.engines.size();
  if (count == 0) return;
  const ArgumentBlock& block = call.life().blocks.front();
  const auto add = [&](std::uint64_t first, std::uint64_t items) {
    submit(work_for(call, first, items, block), placement(call, first), at_once);
  };
  switch (call.spread) {
    case Spread::together:
      add(0, engines);
      return;
    case Spread::each:
      for (std::uint64_t i = 0; i < engines; ++i) add(i, 1);
      return;
    case Spread::blocks:
      // The first few get one item more.
      for (std::uint64_t i = 0, first = 0; i < engines && first < count; ++i) {
        const std::uint64_t part = count / engines + (i < count % engines ? 1 : 0);
        submit(work_for(call, first, part, block), Placement::bound(call.engines[i]), at_once);
        first += part;
      }
      return;
    case Spread::pool:
    case Spread::teams:
      if (call.chunk_size > 1) {
        add(0, count);
      } else {
        for (const ArgumentBlock& each : call.life().blocks) enqueue(call, each, at_once);
      }
      return;
    case Spread::rank_0:
      return;
  }
}

bool TaskQueue::enqueue_again(Call& call, std::uint64_t item, scheduler::Avoid avoid, bool alone) {
  scheduler::Work work = work_for(call, item, 1, *block_of(call, item));
  if (alone) {
    work.alone = true;
    work.least_slots = std::exchange(work.slots, 0);
    work.hwm = 1;
  }
  work.avoid = std::make_shared<const scheduler::Avoid>(std::move(avoid));
  return scheduler_.submit(work, placement(call, item));
}

void TaskQueue::withdraw(const Call& call) {
  if (call.spread == Spread::together || in_pool(call)) {
    scheduler_.withdraw(call.id, placement(call, 0));
  } else {
    for (const int engine : call.engines) scheduler_.withdraw(call.id, Placement::bound(engine));
  }
}

void TaskQueue::withdraw(const Call& call, std::uint64_t item) {
  if (in_pool(call)) {
    scheduler_.withdraw(call.id, item, placement(call, item));
    return;
  }
  for (const int engine : call.engines) {
    if (scheduler_.withdraw(call.id, item, Placement::bound(engine))) return;
  }
}

}  // namespace rankview::controller
