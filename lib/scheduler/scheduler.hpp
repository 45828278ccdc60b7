// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/engine.hpp"
#include "scheduler/roster.hpp"
#include "scheduler/target_set.hpp"
#include "scheduler/target_sets.hpp"
#include "scheduler/turns.hpp"
#include "scheduler/work.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <random>
#include <utility>
#include <vector>

// Who runs what, and when: queues of work, what engines have in hand, and the decision what to hand out next. Pure: no MPI, no threads,
// no clock of its own, so that it can be tested and simulated by itself.
namespace rankview::scheduler {

// Hands out by priority, and in order of submission, to the engine with the least in hand. What different submitters want, and what is for
// different sets of engines, takes turns by the time it takes (start-time fair queueing; Goyal, Vin and Cheng, SIGCOMM 1996).
//
// An engine gets one item at a time until durations of that kind of call are known; then as many as it will finish within Limits::batch,
// with the next batch ahead of need, so that messages cost little and their latency is hidden. What one engine has of a
// kind is no more than has ended of it, since a few durations say little, and no more than its share of what is left. What turns out to
// wait behind a long item, or behind more than seemed to be there, is recalled: soon when somebody else has nothing to do, and behind a
// long one after a while in any case, since it would be begun out of turn.
//
// Work that takes slots of an engine is not handed out ahead of need, and never more than there is room for. Work of one size is handed out
// in order, and past what needs more room, if it would not be begun otherwise; but for what comes first an engine is kept until there is
// room, so that it gets its turn (the reservation of backfilling; Lifka, The ANL/IBM SP scheduling system, 1995).
//
// Cost of a grant: amortised constant in the number of items and engines, logarithmic in the number of distinct target sets, submitters
// and priorities that have work. Policies other than least_load: linear in the number of engines that may take more.
class Scheduler {
 public:
  explicit Scheduler(Limits limits = {}) : limits_(limits) {}

  // `slots`: so much work that is not to have an engine for itself it runs side by side.
  void add_engine(int engine, std::uint16_t slots = 1);
  // The engine is gone. Gives what it had in hand, and what nobody is left to run: of work for several engines together, all of it.
  struct Lost {
    std::vector<Range> in_hand;
    std::vector<Range> stranded;
  };
  Lost lose_engine(int engine);
  // The engine does not answer: it is handed nothing, and what only it may run waits, until take_back() or lose_engine(). Gives what it had
  // in hand, which counts against it no longer; not so what it says of that from here on.
  std::vector<Range> set_aside(int engine);
  // It answers again, and has nothing in hand.
  void take_back(int engine);
  // Hands out nothing until resume().
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }

  // False if there is no engine that may run it. What was tried everywhere may be tried again.
  bool submit(const Work& work, const Placement& placement = {});
  // One item, if nothing waits and somebody who may run it has nothing to do. If so it is handed out, to whom next() would hand it.
  bool submit_at_once(const Work& work, const Placement& placement, Grant& grant);

  // The next grant. False if nothing can be handed out before an engine has finished something.
  bool next(Grant& grant);

  // An engine has ended items [begin, end) of a call, after `busy` in all.
  void finished(int engine, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy);
  // So many of the items that an engine has begun wait for others: it can run something else meanwhile.
  void suspended(int engine, std::uint64_t items);

  // Whether an engine is to be asked for something back that others could begin sooner. To be called now and then, with the time.
  std::optional<Recall> recall(Nanoseconds now);
  // Likewise all that engines have, others may run, and which has not begun as far as is known.
  std::vector<Recall> recall_all();
  // What an engine has given back of a Recall. It waits again, in its old place.
  void returned(int engine, const std::vector<Range>& ranges);

  // Drops what has not been handed out of a call.
  void withdraw(std::uint64_t call, const Placement& placement);
  // The same for one item, not of what several engines are to run at once. Whether it was there. Cost: linear in what waits in pieces.
  bool withdraw(std::uint64_t call, std::uint64_t item, const Placement& placement);

  // Items that wait to be handed out.
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  // Whether an engine has nothing to do.
  [[nodiscard]] bool any_idle() const { return engines_.idle() != 0; }
  // Whether engines run more than one thing side by side.
  [[nodiscard]] bool slotted() const { return engines_.most_slots() > 1; }
  // Whether there may be something to recall.
  [[nodiscard]] bool unbalanced() const { return engines_.crowded() != 0 && engines_.live() > 1; }
  [[nodiscard]] Load load(int engine) const;
  // Priorities of which it knows how far their turns have come: those that have work, and a few.
  [[nodiscard]] std::size_t priorities() const { return turns_.size(); }
  [[nodiscard]] bool live(int engine) const { return engines_.live(engine); }
  [[nodiscard]] bool aside(int id) const { return engine(id).aside; }
  [[nodiscard]] bool paused() const { return paused_; }

 private:
  Engine& engine(int id) { return engines_[id]; }
  [[nodiscard]] const Engine& engine(int id) const { return engines_[id]; }
  Rest& rest(const Engine& engine) { return engines_.rest(engine.id); }
  [[nodiscard]] const Rest& rest(const Engine& engine) const { return engines_.rest(engine.id); }

  // Target sets, and who is in them.
  void stretch_limits();
  TargetSet& target_set_for(const Placement& placement);
  TargetSet& bound_set(int id);
  TargetSet& target_set_for(const std::vector<int>& engines);
  TargetSet& target_set_for(const std::vector<std::vector<int>>& teams);
  void join(TargetSet& targets, Engine& engine);
  // Those of the target sets that it is in of which `leaves` is true.
  template <class Leaves>
  void leave(Engine& engine, Leaves leaves) {
    auto& joined = rest(engine).target_sets;
    std::erase_if(joined, [&leaves](const Membership& membership) { return leaves(membership.targets); });
    engine.joined = !joined.empty();
  }
  [[nodiscard]] bool in(const TargetSet& targets, const Engine& engine) const;
  Listed& listed(const TargetSet& targets, Engine& engine);
  void drop_unused_target_sets();

  // Queues.
  Queue& queue_for(TargetSet& targets, const Terms& terms, std::vector<int> avoid);
  static void drop_if_unused(Queue& queue);
  void skip_over(Queue& queue);
  [[nodiscard]] std::optional<std::vector<int>> avoided(const TargetSet& targets, const Terms& terms) const;
  SharedTerms terms_of(TargetSet& targets, const Work& work);
  void submit_together(const Work& work, const std::vector<int>& engines);
  bool enqueue(Entry entry);
  void insert(Queue& queue, Entry entry);
  // Calls `f` with the target sets that work of this placement stands in.
  template <class F>
  void for_target_sets(const Placement& placement, F f);
  void wait_for_gang(Queue& queue, Gang& gang);
  void set_runnable(TargetSet& targets);
  void set_runnable(Queue& queue);
  void forget_turns();

  // Who wants something, and who is to get it.
  void offer(Engine& engine);
  void offer(TargetSet& targets, Engine& engine) { offer(targets, listed(targets, engine), engine); }
  void offer(TargetSet& targets, Listed& listed, Engine& engine);
  void unlist(TargetSet& targets, Engine& engine);
  [[nodiscard]] bool wants(const TargetSet& targets, const Engine& engine) const;
  [[nodiscard]] bool accepts(const Engine& engine, const Queue& queue, const Entry& entry) const;
  int pick(Queue& queue);
  int take_first(Queue& queue, std::deque<int>& list, bool idle);
  int draw(Queue& queue);
  [[nodiscard]] std::uint64_t portion(const Engine& engine, const Entry& entry) const;

  // Slots.
  [[nodiscard]] bool has_room(const Engine& engine, const Terms& terms) const;
  [[nodiscard]] bool kept_from(const Engine& engine, const Queue& queue) const;
  void keep_engine(Queue& queue);
  void release(Queue& queue);

  // What engines have in hand.
  [[nodiscard]] double stretched(Nanoseconds limit) const { return static_cast<double>(limit) * stretch_; }
  [[nodiscard]] std::optional<double> time_in_hand(const Engine& engine) const;
  [[nodiscard]] std::uint64_t items_of(const Engine& engine, const Duration& kind) const;
  [[nodiscard]] std::size_t assignments(const Engine& engine) const;
  [[nodiscard]] const Assignment& assignment(const Engine& engine, std::size_t index) const {
    return index == 0 ? engine.oldest : rest(engine).backlog[index - 1];
  }
  void insert(Engine& engine, std::size_t index, Assignment assignment);
  void erase(Engine& engine, std::size_t index);
  void cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end);
  void assign(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end);
  void let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end);
  std::vector<Range> take_in_hand(Engine& engine);
  [[nodiscard]] bool team_present(const TargetSet& targets, const Engine& first) const;

  // Recall.
  [[nodiscard]] bool overdue(Engine& engine, Nanoseconds now);
  [[nodiscard]] bool overloaded(const Engine& engine) const;
  std::vector<Range> recallable(Engine& engine, bool to_takers);
  bool has_taker(TargetSet& targets, const Avoid* avoid);

  Limits limits_;
  double stretch_ = 1;  // of the limits, for so many engines
  Roster engines_;
  TargetSets target_sets_;
  // Queues that have both work and takers, the one that comes first on top. What stands there under another key than the queue has is
  // stale.
  using Runnable = std::pair<Key, Queue*>;
  std::priority_queue<Runnable, std::vector<Runnable>, std::greater<>> runnable_;
  Turns turns_;
  Durations durations_;
  SharedTerms last_terms_;   // the last ones made
  std::deque<Grant> ready_;  // decided and not yet asked for
  std::uint64_t waiting_ = 0;
  bool paused_ = false;
  std::minstd_rand random_;
};

}  // namespace rankview::scheduler
