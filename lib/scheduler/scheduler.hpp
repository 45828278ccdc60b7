// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/fifo.hpp"
#include "scheduler/id_set.hpp"
#include "scheduler/turns.hpp"

#include <boost/container/small_vector.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

// Who runs what, and when: queues of work, what engines have in hand, and the decision what to hand out next. Pure: no MPI, no threads,
// no clock of its own, so that it can be tested and simulated by itself.
namespace rankview::scheduler {

using Nanoseconds = std::int64_t;

// To whom among the engines that may take more.
enum class Policy : std::uint8_t {
  least_load,  // who has nothing to do before who will soon have nothing to do
  lru,         // who was handed something longest ago
  random,      // any
  two_bin,     // of two drawn at random the one with less in hand
  weighted,    // drawn with the inverse of what they have in hand as weight
  pack,        // who has the fewest slots left of those that have enough
};

// Engines that an item is kept from.
struct Avoid {
  std::vector<int> tried;    // it has failed there: they come last
  std::vector<int> refused;  // it cannot run there
};

// Consecutive items of one call, cut into `chunks` balanced chunks that are never split.
struct Work {
  std::uint64_t call = 0;  // calls are numbered in the order in which they are to start
  std::uint64_t kind = 0;  // calls of one kind take about equally long an item
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;       // at most count; equal to it: every item by itself
  std::uint64_t item_bytes = 0;   // encoded size of an item, about
  std::uint64_t flow = 0;         // who submitted it: what different ones submit takes turns
  std::uint32_t hwm = 0;          // an engine is handed more while it has fewer items than this; 0: as durations suggest
  std::int32_t priority = 0;      // higher ones first
  std::uint16_t slots = 0;        // that an item, or a chunk, takes of an engine beside others; 0: it takes the engine, alone
  std::uint16_t least_slots = 0;  // engines that have fewer are not for it; at least `slots`
  Policy policy = Policy::least_load;
  bool alone = false;                    // not to be merged with its neighbours, nor handed out with others
  std::shared_ptr<const Avoid> avoid{};  // null: nobody
};

// Who may run a piece of work. Refers to the caller's vectors.
struct Placement {
  enum class Kind : std::uint8_t { anyone, among, bound, together, teams };
  Kind kind = Kind::anyone;
  int engine = -1;                                       // bound: the only one
  const std::vector<int>* engines = nullptr;             // among: any of them. together: item i by the i-th, all at once
  const std::vector<std::vector<int>>* teams = nullptr;  // any of these, all its engines together

  static Placement among(const std::vector<int>& engines) { return {Kind::among, -1, &engines, nullptr}; }
  static Placement bound(int engine) { return {Kind::bound, engine, nullptr, nullptr}; }
  static Placement together(const std::vector<int>& engines) { return {Kind::together, -1, &engines, nullptr}; }
  static Placement to(const std::vector<std::vector<int>>& teams) { return {Kind::teams, -1, nullptr, &teams}; }
};

// An engine is to run items [begin, end) of a call.
struct Grant {
  int engine = -1;
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool slow = false;  // an item may take long: what the engine has done before should not wait for it
};

// Items [begin, end) of a call.
struct Range {
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool whole = false;  // not to be split

  friend bool operator==(const Range&, const Range&) = default;
};

// An engine is to give back what it has not begun of these.
struct Recall {
  int engine = -1;
  std::vector<Range> ranges;
};

struct Limits {
  // As much work as is handed to an engine at a time, and in all, by measured durations.
  Nanoseconds batch = 200'000;
  Nanoseconds in_hand = 300'000;
  // For more engines than this, these are longer in proportion: in a batch's time each engine is sent a message and sends one, and handling
  // so many must not take longer.
  std::size_t engines = 200;
  // Items longer than this are not handed out ahead of need.
  Nanoseconds longest_ahead = 100'000;
  std::uint64_t batch_bytes = 128 * 1024;
  // Of work that only one engine may do, so many items are on their way or in its queue.
  std::uint64_t bound_items = 256;
  // Items that take less are no reason to send what was done before.
  Nanoseconds slow = 50'000;
  // An engine that has ended nothing for so long is taken to sit in a long item.
  Nanoseconds overdue = 300'000;
  // The same while nobody else has nothing to do. What waits there is older than what others begin meanwhile, so it must not wait for long;
  // but an engine that has just ended a long item is not to be left without the next.
  Nanoseconds stuck = 3'000'000;
};

// What one engine has.
struct Load {
  std::uint64_t waiting = 0;     // bound to this engine and not handed out
  std::uint64_t handed_out = 0;  // on its way there, queued there, or running
  std::uint64_t ended = 0;
};

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
// Cost of a hand-out: amortised constant in the number of items and engines, logarithmic in the number of distinct target sets, submitters
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

  // The next hand-out. False if nothing can be handed out before an engine has finished something.
  bool next(Grant& grant);

  // An engine has ended items [begin, end) of a call, after `busy` in all.
  void finished(int engine, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy);
  // So many of the items that an engine has begun wait for others: it can run something else meanwhile.
  void suspended(int engine, std::uint64_t items);

  // Whether an engine is to be asked for something back that others could begin sooner. To be called now and then, with the time.
  std::optional<Recall> recall(Nanoseconds now);
  // What an engine has given back of a Recall. It waits again, in its old place.
  void returned(int engine, const std::vector<Range>& ranges);

  // Drops what has not been handed out of a call.
  void withdraw(std::uint64_t call, const Placement& placement);
  // The same for one item, not of what several engines are to run at once. Whether it was there. Cost: linear in what waits in pieces.
  bool withdraw(std::uint64_t call, std::uint64_t item, const Placement& placement);

  // Items that wait to be handed out.
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  // Whether an engine has nothing to do.
  [[nodiscard]] bool any_idle() const { return idle_ != 0; }
  // Whether engines run more than one thing side by side.
  [[nodiscard]] bool slotted() const { return most_slots_ > 1; }
  // Whether there may be something to recall.
  [[nodiscard]] bool unbalanced() const { return crowded_.size() != 0 && live_ > 1; }
  [[nodiscard]] Load load(int engine) const;
  // Priorities of which it knows how far their turns have come: those that have work, and a few.
  [[nodiscard]] std::size_t priorities() const { return turns_.size(); }
  [[nodiscard]] bool live(int engine) const;
  [[nodiscard]] bool aside(int id) const { return engine(id).aside; }
  [[nodiscard]] bool paused() const { return paused_; }

 private:
  struct Lane;
  struct Queue;

  struct Duration {
    double mean = 0;  // nanoseconds an item, of late
    std::uint64_t samples = 0;

    void learn(std::uint64_t items, Nanoseconds busy);
  };

  // How pieces of work are to be handed out; shared by those that have the same, one thread at a time.
  struct Terms : boost::intrusive_ref_counter<Terms, boost::thread_unsafe_counter> {
    Lane* lane = nullptr;
    Duration* kind = nullptr;
    std::uint64_t item_bytes = 0;
    std::uint64_t flow = 0;
    std::uint32_t hwm = 0;
    std::int32_t priority = 0;
    std::uint16_t slots = 0;
    std::uint16_t least_slots = 0;
    Policy policy = Policy::least_load;
    bool alone = false;
    bool in_chunks = false;  // which are not to be split
    std::shared_ptr<const Avoid> avoid{};

    [[nodiscard]] auto tie() const {
      return std::tie(lane, kind, item_bytes, flow, hwm, priority, slots, least_slots, policy, alone, in_chunks, avoid);
    }
  };
  using SharedTerms = boost::intrusive_ptr<const Terms>;

  // What is known of an engine's place in a lane.
  struct Listed {
    bool idle = false;  // it stands in the lane's lists
    bool hungry = false;
  };

  // Items [first, first + count) of a call that an engine has, of one hand-out.
  struct Held {
    SharedTerms terms;
    std::uint64_t call = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;

    [[nodiscard]] std::uint64_t end() const { return first + count; }
    [[nodiscard]] bool whole() const { return terms->in_chunks && count > 1; }
    // Nanoseconds of work; nothing if it is of unknown kind.
    [[nodiscard]] std::optional<double> time() const {
      if (terms->kind->samples == 0) return std::nullopt;
      return terms->kind->mean * static_cast<double>(count);
    }
    void cut(std::uint64_t from, std::uint64_t to) {
      first = from;
      count = to - from;
    }
  };

  // As much of an engine as handing it a long item and hearing of its end takes: a line of the cache, since of a hundred thousand engines
  // each that comes up has to be fetched.
  struct alignas(64) Engine {
    int id = -1;
    std::uint32_t suspended = 0;
    bool live = false;
    bool aside = false;      // see set_aside()
    bool overdue = false;    // sits in a long item
    bool recalling = false;  // has been asked to give back
    bool watched = false;    // since Rest::watched_since
    bool more = false;       // has something in Rest::behind
    bool joined = false;     // has something in Rest::lanes
    bool crowded = false;    // may have something to give back
    bool kept = false;       // for Rest::kept_for
    std::uint16_t slots = 1;
    std::uint16_t used = 0;   // of these
    Listed listed;            // in the lane of everyone
    Held oldest;              // what it runs first
    std::uint64_t items = 0;  // in hand, in all
    std::uint64_t ended = 0;

    [[nodiscard]] bool idle() const { return items == suspended; }
    [[nodiscard]] bool present() const { return live && !aside; }
  };

  // What an engine has in hand but for the oldest hand-out, in the order in which it runs them.
  //
  // Cost: as of Fifo; backlog() is linear in the number of kinds.
  class Behind {
   public:
    [[nodiscard]] std::size_t size() const { return held_.size(); }
    [[nodiscard]] const Held& operator[](std::size_t i) const { return held_[i]; }
    // Nanoseconds of work; nothing if some of it is of unknown kind.
    [[nodiscard]] std::optional<double> backlog() const;
    [[nodiscard]] std::uint64_t items_of(const Duration& kind) const;
    void insert(std::size_t i, Held held);
    Held take(std::size_t i);
    void cut(std::size_t i, std::uint64_t first, std::uint64_t end);
    // Has the cache fetch it.
    void prefetch() const {
      __builtin_prefetch(&held_);
      __builtin_prefetch(&of_kinds_);
    }

   private:
    // Items of one kind.
    struct OfKind {
      const Duration* kind;
      std::uint64_t items;
    };

    [[nodiscard]] const OfKind* find(const Duration& kind) const;
    void count(const Held& held);
    void discount(const Held& held);

    Fifo<Held> held_;
    boost::container::small_vector<OfKind, 1> of_kinds_;
  };

  // An engine's part in a lane.
  struct Membership {
    Lane* lane;
    Listed listed;
  };

  // The rest of it.
  struct alignas(64) Rest {
    Behind behind;
    std::uint64_t ended_when_watched = 0;
    std::uint64_t ended_when_kept = static_cast<std::uint64_t>(-1);  // when it could give nothing back
    Nanoseconds watched_since = 0;
    Lane* bound = nullptr;          // once there was work for it alone
    Queue* kept_for = nullptr;      // whose first entry it is to make room for
    std::vector<Membership> lanes;  // with that, and without that of everyone
  };

  // Work that several engines are handed at once; it stands in the bound lane of each.
  struct Gang {
    std::vector<int> engines;
    std::size_t ready = 0;  // engines whose turn it is
  };

  // Pending items [first, first + count) of a call, and how far they were handed out.
  struct Entry {
    SharedTerms terms;
    std::uint64_t call = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::uint64_t chunks = 0;
    std::uint64_t chunk = 0;  // next to hand out
    std::shared_ptr<Gang> gang{};

    [[nodiscard]] std::uint64_t boundary(std::uint64_t chunk_index) const;
    [[nodiscard]] std::uint64_t end() const { return first + count; }
    [[nodiscard]] std::uint64_t left() const { return end() - boundary(chunk); }
    [[nodiscard]] bool over() const { return chunk == chunks; }
    // Whether it is still to be handed out.
    [[nodiscard]] bool has(std::uint64_t item) const { return !over() && boundary(chunk) <= item && item < end(); }
    // Takes an item out that it has: gives what is left behind it, or of chunks, which stay whole but for that item, all that is left.
    std::vector<Entry> cut_out(std::uint64_t item);
    // By call, and within a call by what comes next of it. Since no two have an item in common, handing out does not change it.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> place() const { return {call, boundary(chunk)}; }
  };

  // The entries of a queue, in order of calls except where bound to one engine. Mostly they come in that order; those that do not, such as
  // calls that have waited for others, stand apart, so that each costs a logarithm of their number.
  class Entries {
   public:
    [[nodiscard]] bool empty() const { return in_order_.empty() && late_.empty(); }
    Entry& front();
    [[nodiscard]] const Entry& front() const { return const_cast<Entries*>(this)->front(); }
    void pop_front();
    // Those at the front that are over.
    void skip_over() {
      while (!empty() && front().over()) pop_front();
    }
    void clear();
    // The one that came last of those that came in order, null if there is none.
    Entry* last() { return in_order_.empty() ? nullptr : &in_order_.back(); }
    void append(Entry entry) { in_order_.push_back(std::move(entry)); }
    void insert(Entry entry);
    template <class F>
    void for_each(F f) {
      for (Entry& entry : in_order_) f(entry);
      for (const Entry& entry : late_) f(const_cast<Entry&>(entry));
    }
    template <class F>
    void for_each(F f) const {
      for (const Entry& entry : in_order_) f(entry);
      for (const Entry& entry : late_) f(entry);
    }
    // Those of one call, where they are in order of calls.
    template <class F>
    void for_each_of(std::uint64_t call, F f);
    // Cuts an item of a call out of the entry that has it.
    bool cut_out(std::uint64_t call, std::uint64_t item);
    template <class F>
    void erase_if(F f) {
      std::erase_if(in_order_, f);
      std::erase_if(late_, f);
    }

   private:
    [[nodiscard]] bool late_first() const;

    struct Earlier {
      bool operator()(const Entry& a, const Entry& b) const { return a.place() < b.place(); }
    };

    std::deque<Entry> in_order_;
    std::multiset<Entry, Earlier> late_;
  };

  // What comes first: by priority, then by turns, then by age; of one call, by the queue it stands in.
  struct Key {
    std::int64_t urgency = 0;  // lower is sooner
    double turn = 0;
    std::uint64_t call = 0;
    std::uint64_t queue = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  // Work of a lane that is handed out one after the other: of one priority and submitter, kept from the same engines, of one size.
  using QueueId = std::tuple<std::int32_t, std::uint64_t, std::vector<int>, std::uint16_t>;
  struct Queue {
    Lane* lane = nullptr;
    std::uint64_t number = 0;  // in the order in which they were made
    QueueId id;
    Entries entries;
    double turn = 0;  // nanoseconds of work that were handed out of it, as fair queueing counts them
    int keeps = -1;   // the engine that is kept for it
    bool runnable = false;
    Key key;                 // under which it then stands among the runnable
    std::size_t listed = 0;  // how often it stands there, with stale keys

    [[nodiscard]] std::int32_t priority() const { return std::get<0>(id); }
    [[nodiscard]] const std::vector<int>& avoids() const { return std::get<2>(id); }
  };

  // The engines that may draw from the same queues.
  struct Lane {
    std::size_t engines = 0;
    bool bound = false;
    std::vector<std::unique_ptr<Queue>> queues;
    // Engines that may want work, the idle before the merely hungry. An engine stands in a list at most once; whether it still
    // belongs there shows when it comes up.
    std::deque<int> idle;
    std::deque<int> hungry;
    std::map<int, std::vector<int>> followers;  // where teams draw from it: by first engine, the others
    bool held = false;                          // its first entry waits for the other engines of its gang
    std::uint32_t hwm = 0;                      // the highest of what it was asked for since it was last empty
    std::size_t in_hand = 0;                    // hand-outs that engines have of it

    [[nodiscard]] bool recallable() const { return !bound && followers.empty(); }
    [[nodiscard]] bool empty() const;
  };

  Engine& engine(int id) { return engines_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Engine& engine(int id) const { return engines_[static_cast<std::size_t>(id)]; }
  Rest& rest(const Engine& engine) { return rests_[static_cast<std::size_t>(engine.id)]; }
  [[nodiscard]] const Rest& rest(const Engine& engine) const { return rests_[static_cast<std::size_t>(engine.id)]; }

  // Lanes.
  void set_live(std::size_t engines);
  Lane& lane_for(const Placement& placement);
  Lane& bound_lane(int id);
  Lane& lane_for(const std::vector<int>& engines);
  Lane& lane_for(const std::vector<std::vector<int>>& teams);
  Lane& make_lane(bool bound);
  void join(Lane& lane, Engine& engine);
  void leave(Engine& engine, const std::unordered_set<const Lane*>& lanes);
  [[nodiscard]] bool in(const Lane& lane, const Engine& engine) const;
  Listed& listed(const Lane& lane, Engine& engine);
  void drop_unused_lanes();

  // Queues.
  Queue& queue_for(Lane& lane, const Terms& terms, std::vector<int> avoid);
  static void drop_if_unused(Queue& queue);
  void skip_over(Queue& queue);
  [[nodiscard]] std::optional<std::vector<int>> avoided(const Lane& lane, const Terms& terms) const;
  SharedTerms terms_of(Lane& lane, const Work& work);
  void submit_together(const Work& work, const std::vector<int>& engines);
  bool enqueue(Entry entry);
  void insert(Queue& queue, Entry entry);
  // Calls `f` with the lanes that work of this placement stands in.
  template <class F>
  void for_lanes(const Placement& placement, F f);
  void hold(Queue& queue, Gang& gang);
  void set_runnable(Lane& lane);
  void set_runnable(Queue& queue);
  void forget_turns();
  Duration& duration(std::uint64_t kind);

  // Who wants something, and who is to get it.
  void offer(Engine& engine);
  void offer(Lane& lane, Engine& engine) { offer(lane, listed(lane, engine), engine); }
  void offer(Lane& lane, Listed& listed, Engine& engine);
  void unlist(Lane& lane, Engine& engine);
  [[nodiscard]] bool wants(const Lane& lane, const Engine& engine) const;
  [[nodiscard]] bool accepts(const Engine& engine, const Queue& queue, const Entry& entry) const;
  int pick(Queue& queue);
  int take_first(Queue& queue, std::deque<int>& list, bool idle);
  int draw(Queue& queue);
  [[nodiscard]] std::uint64_t portion(const Engine& engine, const Entry& entry) const;

  // Slots.
  [[nodiscard]] bool has_room(const Engine& engine, const Terms& terms) const;
  [[nodiscard]] bool kept_from(const Engine& engine, const Queue& queue) const;
  void keep_engine(Queue& queue);
  void set_used(Engine& engine, int used);
  void release(Queue& queue);

  // What engines have in hand.
  [[nodiscard]] double stretched(Nanoseconds limit) const { return static_cast<double>(limit) * stretch_; }
  [[nodiscard]] std::optional<double> backlog(const Engine& engine) const;
  [[nodiscard]] std::uint64_t items_of(const Engine& engine, const Duration& kind) const;
  [[nodiscard]] std::size_t hand_outs(const Engine& engine) const;
  [[nodiscard]] const Held& held(const Engine& engine, std::size_t index) const {
    return index == 0 ? engine.oldest : rest(engine).behind[index - 1];
  }
  void insert(Engine& engine, std::size_t index, Held held);
  void erase(Engine& engine, std::size_t index);
  void cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end);
  void hand_out(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end);
  void let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end);
  void set_items(Engine& engine, std::uint64_t items);
  void note_idle(Engine& engine, bool was_idle);
  std::vector<Range> take_in_hand(Engine& engine);
  [[nodiscard]] bool team_present(const Lane& lane, const Engine& first) const;

  // Recall.
  [[nodiscard]] bool overdue(Engine& engine, Nanoseconds now);
  [[nodiscard]] bool overloaded(const Engine& engine) const;
  std::vector<Range> recallable(Engine& engine);
  bool has_taker(Lane& lane, const Avoid* avoid);

  Limits limits_;
  std::vector<Engine> engines_;         // by number
  std::vector<Rest> rests_;             // likewise
  std::vector<std::uint64_t> granted_;  // likewise: when it was last handed something, in hand-outs
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::map<std::vector<int>, Lane*> by_engines_;
  std::map<std::vector<std::vector<int>>, Lane*> by_teams_;
  Lane* everyone_ = nullptr;
  // Queues that have both work and takers, the one that comes first on top. What stands there under another key than the queue has is
  // stale.
  using Runnable = std::pair<Key, Queue*>;
  std::priority_queue<Runnable, std::vector<Runnable>, std::greater<>> runnable_;
  Turns turns_;
  std::unordered_map<std::uint64_t, Duration> durations_;
  std::pair<std::uint64_t, Duration*> last_duration_{0, nullptr};  // the one last looked up
  SharedTerms last_terms_;                                         // the last ones made
  std::deque<Grant> ready_;                                        // decided and not yet asked for
  std::uint64_t waiting_ = 0;
  std::uint64_t hand_outs_ = 0;
  std::uint64_t queues_ = 0;  // that were made
  std::size_t live_ = 0;
  std::size_t aside_ = 0;  // of these
  bool paused_ = false;
  std::size_t slotted_ = 0;        // engines that have something in slots
  std::uint16_t least_slots_ = 0;  // that an engine has
  std::uint16_t most_slots_ = 0;
  double stretch_ = 1;    // of the limits, for so many engines
  std::size_t idle_ = 0;  // engines that are present and have nothing in hand
  IdSet crowded_;         // those that have more than one item
  int next_watched_ = 0;  // where recall() goes on
  std::minstd_rand random_;
};

}  // namespace rankview::scheduler
