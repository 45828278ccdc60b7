// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/fifo.hpp"

#include <boost/container/small_vector.hpp>

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
  std::uint64_t chunks = 0;      // at most count; equal to it: every item by itself
  std::uint64_t item_bytes = 0;  // encoded size of an item, about
  std::uint64_t flow = 0;        // who submitted it: what different ones submit takes turns
  std::uint32_t hwm = 0;         // an engine is handed more while it has fewer items than this; 0: as durations suggest
  std::int32_t priority = 0;     // higher ones first
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
// with the next batch ahead of need, so that messages cost little and their latency is hidden. What one engine gets doubles at most, and
// is no more than its share of what is left. What turns out to wait behind a long item is recalled: soon when somebody else has nothing to
// do, and after a while in any case, since it would be begun out of turn.
//
// Cost of a hand-out: amortised constant in the number of items and engines, logarithmic in the number of distinct target sets, submitters
// and priorities that have work. Policies other than least_load: linear in the number of engines that may take more.
class Scheduler {
 public:
  explicit Scheduler(Limits limits = {}) : limits_(limits) {}

  void add_engine(int engine);
  // The engine is gone. Gives what it had in hand, and what nobody is left to run: of work for several engines together, all of it.
  struct Lost {
    std::vector<Range> in_hand;
    std::vector<Range> stranded;
  };
  Lost lose_engine(int engine);

  // False if there is no engine that may run it. What was tried everywhere may be tried again.
  bool submit(const Work& work, const Placement& placement = {});

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

  // Items that wait to be handed out.
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  // Whether an engine has nothing to do.
  [[nodiscard]] bool any_idle() const { return idle_ != 0; }
  // Whether there may be something to recall.
  [[nodiscard]] bool unbalanced() const { return crowded_ != 0 && live_ > 1; }
  [[nodiscard]] Load load(int engine) const;
  [[nodiscard]] bool live(int engine) const;

 private:
  struct Lane;
  struct Queue;

  struct Duration {
    double mean = 0;  // nanoseconds an item
    std::uint64_t samples = 0;
  };

  // An engine's part in a lane, and whether it stands in the lane's lists.
  struct Membership {
    Lane* lane;
    bool in_idle = false;
    bool in_hungry = false;
  };

  // Items of one kind that an engine has.
  struct InHand {
    const Duration* kind;
    std::uint64_t items;
  };

  // Items that an engine has, of one hand-out.
  struct Held {
    Work work{};  // [first, first + count)
    Duration* kind = nullptr;
    Lane* lane = nullptr;
  };

  struct Engine {
    int id = -1;
    bool live = false;
    bool overdue = false;     // sits in a long item
    bool recalling = false;   // has been asked to give back
    std::uint64_t items = 0;  // in hand, in all
    std::uint64_t suspended = 0;
    std::uint64_t ended = 0;
    std::uint64_t granted = 0;  // when it was last handed something, in hand-outs
    boost::container::small_vector<InHand, 1> in_hand;
    Fifo<Held> held;  // in the order in which it runs them
    boost::container::small_vector<Membership, 1> lanes;
    Lane* bound = nullptr;  // once there was work for it alone
    std::uint64_t ended_when_watched = 0;
    Nanoseconds watched_since = -1;

    [[nodiscard]] bool idle() const { return items == suspended; }
    // Nanoseconds of work in hand; nothing if some of it is of unknown kind.
    [[nodiscard]] std::optional<double> backlog() const;
    Membership& in(const Lane& lane);
  };

  // Work that several engines are handed at once; it stands in the bound lane of each.
  struct Gang {
    std::vector<int> engines;
    std::size_t ready = 0;  // engines whose turn it is
  };

  // Pending work and how far it was handed out.
  struct Entry {
    Work work;
    Duration* kind = nullptr;
    std::uint64_t chunk = 0;  // next to hand out
    std::shared_ptr<Gang> gang{};

    [[nodiscard]] std::uint64_t boundary(std::uint64_t chunk_index) const;
    [[nodiscard]] std::uint64_t left() const { return work.first + work.count - boundary(chunk); }
    [[nodiscard]] bool over() const { return chunk == work.chunks; }
    // By call, and within a call by what comes next of it. Since no two have an item in common, handing out does not change it.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> place() const { return {work.call, boundary(chunk)}; }
  };

  // The entries of a queue, in order of calls except where bound to one engine. Mostly they come in that order; those that do not, such as
  // calls that have waited for others, stand apart, so that each costs a logarithm of their number.
  class Entries {
   public:
    [[nodiscard]] bool empty() const { return in_order_.empty() && late_.empty(); }
    Entry& front();
    [[nodiscard]] const Entry& front() const { return const_cast<Entries*>(this)->front(); }
    void pop_front();
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

  // What comes first: by priority, then by turns, then by age.
  struct Key {
    std::int64_t urgency = 0;  // lower is sooner
    double turn = 0;
    std::uint64_t call = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  // Work of a lane that is handed out one after the other: of one priority and submitter, kept from the same engines.
  using QueueId = std::tuple<std::int32_t, std::uint64_t, std::vector<int>>;
  struct Queue {
    Lane* lane = nullptr;
    QueueId id;
    Entries entries;
    double turn = 0;  // nanoseconds of work that were handed out of it, as fair queueing counts them
    bool runnable = false;
    Key key;                 // under which it then stands among the runnable
    std::size_t listed = 0;  // how often it stands there, with stale keys

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
  Lane& lane_for(const Placement& placement);
  Lane& bound_lane(int id);
  Lane& lane_for(const std::vector<int>& engines);
  Lane& lane_for(const std::vector<std::vector<int>>& teams);
  Lane& make_lane(bool bound);
  static void join(Lane& lane, Engine& engine);
  template <class F>
  static void leave_if(Engine& engine, F of_lane) {
    auto& lanes = engine.lanes;
    lanes.erase(std::remove_if(lanes.begin(), lanes.end(), [&of_lane](const Membership& m) { return of_lane(m.lane); }), lanes.end());
  }
  void drop_unused_lanes();
  Queue& queue_for(Lane& lane, const Work& work, std::vector<int> avoid);
  static void drop_if_unused(Queue& queue);
  [[nodiscard]] std::optional<std::vector<int>> avoided(const Lane& lane, const Work& work) const;
  void submit_together(const Work& work, const std::vector<int>& engines);
  bool enqueue(Lane& lane, const Work& work);
  void insert(Queue& queue, Entry entry);
  void offer(Engine& engine);
  void offer(Membership& membership, Engine& engine);
  [[nodiscard]] bool wants(const Lane& lane, const Engine& engine) const;
  [[nodiscard]] bool accepts(const Engine& engine, const Queue& queue, const Entry& entry) const;
  int pick(Queue& queue);
  int first_of(Queue& queue, std::deque<int>& list, bool idle);
  int draw(Queue& queue);
  void unlist(Lane& lane, Engine& engine);
  void hold(Queue& queue, Gang& gang);
  void hand_out(Engine& engine, const Entry& entry, Lane& lane, std::uint64_t begin, std::uint64_t end);
  void let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end);
  void set_runnable(Lane& lane);
  void set_runnable(Queue& queue);
  void set_items(Engine& engine, std::uint64_t items);
  void note_idle(Engine& engine, bool was_idle);
  Duration& duration(std::uint64_t kind);
  [[nodiscard]] std::uint64_t portion(const Lane& lane, const Engine& engine, const Entry& entry) const;
  [[nodiscard]] bool overdue(Engine& engine, Nanoseconds now) const;
  std::vector<Range> recallable(Engine& engine);
  bool has_taker(Lane& lane, const Work& work);

  Limits limits_;
  std::vector<Engine> engines_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::map<std::vector<int>, Lane*> by_engines_;
  std::map<std::vector<std::vector<int>>, Lane*> by_teams_;
  Lane* everyone_ = nullptr;
  // Queues that have both work and takers, the one that comes first on top. What stands there under another key than the queue has is
  // stale.
  using Runnable = std::pair<Key, Queue*>;
  std::priority_queue<Runnable, std::vector<Runnable>, std::greater<>> runnable_;
  std::map<std::int32_t, double> turn_;  // by priority, how far the turns have come
  std::unordered_map<std::uint64_t, Duration> durations_;
  std::pair<std::uint64_t, Duration*> last_duration_{0, nullptr};  // the one last looked up
  std::deque<Grant> ready_;                                        // decided and not yet asked for
  std::uint64_t waiting_ = 0;
  std::uint64_t hand_outs_ = 0;
  std::size_t live_ = 0;
  std::size_t idle_ = 0;          // live engines that have nothing in hand
  std::size_t crowded_ = 0;       // those that have more than one item
  std::size_t next_watched_ = 0;  // where recall() goes on
  std::minstd_rand random_;
};

}  // namespace rankview::scheduler
