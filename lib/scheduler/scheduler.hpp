// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

// Who runs what, and when: queues of work, what engines have in hand, and the decision what to hand out next. Pure: no MPI, no threads,
// no clock of its own, so that it can be tested and simulated by itself.
namespace rankview::scheduler {

using Nanoseconds = std::int64_t;

// Consecutive items of one call, cut into `chunks` balanced chunks that are never split.
struct Work {
  std::uint64_t call = 0;
  std::uint64_t kind = 0;  // calls of one kind take about equally long an item
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;      // at most count; equal to it: every item by itself
  std::uint64_t item_bytes = 0;  // encoded size of an item, about
  bool alone = false;            // not to be merged with its neighbours, nor handed out with others
};

// An engine is to run items [begin, end) of a call.
struct Grant {
  int engine = -1;
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// A range of items that nobody will run.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
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
};

// What one engine has.
struct Load {
  std::uint64_t waiting = 0;     // bound to this engine and not handed out
  std::uint64_t handed_out = 0;  // on its way there, queued there, or running
  std::uint64_t ended = 0;
};

// Hands out in order of submission, to the engine with the least in hand. An engine gets one item at a time until durations of that
// kind of call are known; then as many as it will finish within Limits::batch, with the next batch ahead of need, so that messages cost
// little and their latency is hidden. What one engine gets doubles at most, and is no more than its share of what is left.
//
// Cost of a hand-out: amortised constant in the number of items and engines, logarithmic in the number of distinct target sets that have
// work.
class Scheduler {
 public:
  explicit Scheduler(Limits limits = {}) : limits_(limits) {}

  void add_engine(int engine);

  // Work that any engine may do, or any of `engines`.
  void submit(const Work& work);
  void submit(const Work& work, const std::vector<int>& engines);
  // Work for one engine.
  void submit_bound(const Work& work, int engine);
  // One item for each of `engines`, handed out to all of them at once, when each has been handed what it was to do before. So whatever is
  // handed out together comes in one order everywhere.
  void submit_together(const Work& work, const std::vector<int>& engines);

  // Work whose items are each run by one of `teams`, all its engines together: a grant for each of them, the team's first engine before the
  // others. A team is given more when its first engine wants it.
  void submit_to_teams(const Work& work, const std::vector<std::vector<int>>& teams);

  // The next hand-out. False if nothing can be handed out before an engine has finished something.
  bool next(Grant& grant);

  // An engine has ended `count` items of a call, after `busy` in all.
  void finished(int engine, std::uint64_t kind, std::uint64_t count, Nanoseconds busy);

  // Takes back what has not been handed out of a call.
  std::vector<Range> withdraw(std::uint64_t call);

  // Items that wait to be handed out.
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  [[nodiscard]] Load load(int engine) const;

 private:
  struct Lane;

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

  struct Engine {
    int id = -1;
    std::uint64_t items = 0;  // in hand, in all
    std::uint64_t ended = 0;
    std::vector<InHand> in_hand;
    std::vector<Membership> lanes;
    Lane* bound = nullptr;

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
    const Duration* kind = nullptr;
    std::uint64_t chunk = 0;  // next to hand out
    std::uint64_t sequence = 0;
    std::shared_ptr<Gang> gang{};

    [[nodiscard]] std::uint64_t boundary(std::uint64_t chunk_index) const;
  };

  // A queue and the engines that may draw from it.
  struct Lane {
    std::size_t engines = 0;
    bool bound = false;
    std::deque<Entry> queue;
    // Engines that may want work, the idle before the merely hungry. An engine stands in a list at most once; whether it still
    // belongs there shows when it comes up.
    std::deque<int> idle;
    std::deque<int> hungry;
    bool runnable = false;
    std::map<int, std::vector<int>> followers;  // where teams draw from it: by first engine, the others
    bool held = false;                          // its first entry waits for the other engines of its gang
    std::uint64_t key = 0;                      // under which it then stands among the runnable
  };

  Engine& engine(int id) { return engines_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Engine& engine(int id) const { return engines_[static_cast<std::size_t>(id)]; }
  Lane& lane_for(const std::vector<int>& engines);
  Lane& lane_for(const std::vector<std::vector<int>>& teams);
  Lane& make_lane(bool bound);
  static void join(Lane& lane, Engine& engine);
  void drop_unused_lanes();
  void enqueue(Lane& lane, const Work& work);
  void offer(Engine& engine);
  void offer(Membership& membership, Engine& engine);
  [[nodiscard]] bool wants(const Lane& lane, const Engine& engine) const;
  int pick(Lane& lane);
  void hold(Lane& lane, Gang& gang);
  void take_in_hand(Engine& engine, const Duration& kind, std::uint64_t items);
  void set_runnable(Lane& lane);
  void stop(Lane& lane);
  Duration& duration(std::uint64_t kind);
  [[nodiscard]] std::uint64_t portion(const Lane& lane, const Engine& engine, const Entry& entry) const;

  Limits limits_;
  std::vector<Engine> engines_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::map<std::vector<int>, Lane*> by_engines_;
  std::map<std::vector<std::vector<int>>, Lane*> by_teams_;
  Lane* everyone_ = nullptr;
  // Lanes that have both work and takers, the one whose first entry is oldest on top. An entry whose lane is no longer so, or stands
  // under another key, is stale.
  using Runnable = std::pair<std::uint64_t, Lane*>;
  std::priority_queue<Runnable, std::vector<Runnable>, std::greater<>> runnable_;
  std::unordered_map<std::uint64_t, Duration> durations_;
  std::pair<std::uint64_t, Duration*> last_duration_{0, nullptr};  // the one last looked up
  std::deque<Grant> together_;                                     // the rest of a gang
  std::uint64_t sequence_ = 0;
  std::uint64_t waiting_ = 0;
};

}  // namespace rankview::scheduler
