// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/scheduler.hpp"

#include "support.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

using namespace rankview::scheduler;

namespace {

constexpr Nanoseconds us = 1000;
constexpr Nanoseconds ms = 1000 * us;

Work items(std::uint64_t call, std::uint64_t count, std::uint64_t first = 0) {
  Work work;
  work.call = call;
  work.kind = call;
  work.first = first;
  work.count = count;
  work.chunks = count;
  work.item_bytes = 8;
  return work;
}

Work chunked(std::uint64_t call, std::uint64_t count, std::uint64_t chunks) {
  Work work = items(call, count);
  work.chunks = chunks;
  return work;
}

Work of_kind(Work work, std::uint64_t kind) {
  work.kind = kind;
  return work;
}

void add_engines(Scheduler& scheduler, int count) {
  for (int id = 0; id < count; ++id) scheduler.add_engine(id);
}

std::optional<Grant> next(Scheduler& scheduler) {
  Grant grant;
  if (!scheduler.next(grant)) return std::nullopt;
  return grant;
}

std::vector<Grant> drain(Scheduler& scheduler) {
  std::vector<Grant> grants;
  while (const auto grant = next(scheduler)) grants.push_back(*grant);
  return grants;
}

std::uint64_t size_of(const Grant& grant) { return grant.end - grant.begin; }

// Lets the scheduler see that items of this kind take so long.
void teach(Scheduler& scheduler, std::uint64_t kind, std::uint64_t samples, Nanoseconds each) {
  Work work = items(1'000'000 + kind, samples);
  work.kind = kind;
  scheduler.submit(work);
  std::deque<Grant> running;
  for (;;) {
    for (const Grant& grant : drain(scheduler)) running.push_back(grant);
    if (running.empty()) break;
    const Grant grant = running.front();
    running.pop_front();
    scheduler.finished(grant.engine, kind, size_of(grant), each * static_cast<Nanoseconds>(size_of(grant)));
  }
}

}  // namespace

TEST_CASE("nothing to do", "[scheduler]") {
  Scheduler scheduler;
  CHECK_FALSE(next(scheduler));
  add_engines(scheduler, 2);
  CHECK_FALSE(next(scheduler));
  CHECK(scheduler.waiting() == 0);
  scheduler.submit(items(1, 0));
  CHECK_FALSE(next(scheduler));
}

TEST_CASE("items are handed out in the order of their submission", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 1);
  scheduler.submit(items(1, 2));
  scheduler.submit(items(2, 1));
  scheduler.submit(items(3, 2, 10));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> order;
  while (const auto grant = next(scheduler)) {
    for (std::uint64_t item = grant->begin; item < grant->end; ++item) order.emplace_back(grant->call, item);
    scheduler.finished(grant->engine, grant->call, size_of(*grant), ms * static_cast<Nanoseconds>(size_of(*grant)));
  }
  CHECK(order == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 0}, {1, 1}, {2, 0}, {3, 10}, {3, 11}});
}

TEST_CASE("until a duration is known each engine gets one item", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 3);
  scheduler.submit(items(1, 100));
  const auto grants = drain(scheduler);
  REQUIRE(grants.size() == 3);
  std::set<int> engines;
  for (const Grant& grant : grants) {
    engines.insert(grant.engine);
    CHECK(size_of(grant) == 1);
  }
  CHECK(engines.size() == 3);
  CHECK(scheduler.waiting() == 97);
  CHECK(scheduler.load(1).handed_out == 1);
}

TEST_CASE("long items go to whoever is free, one at a time", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 3);
  teach(scheduler, 1, 10, 50 * ms);
  scheduler.submit(of_kind(items(1, 20), 1));
  CHECK(drain(scheduler).size() == 3);
  scheduler.finished(1, 1, 1, 50 * ms);
  auto grants = drain(scheduler);
  REQUIRE(grants.size() == 1);
  CHECK(grants[0].engine == 1);
  CHECK(grants[0].begin == 3);
  scheduler.finished(2, 1, 1, 50 * ms);
  scheduler.finished(0, 1, 1, 50 * ms);
  grants = drain(scheduler);
  REQUIRE(grants.size() == 2);
  CHECK(grants[0].engine == 2);
  CHECK(grants[1].engine == 0);
}

TEST_CASE("an idle engine is served before one that has work", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 3);
  teach(scheduler, 1, 1000, 1 * us);
  const std::vector<int> only_two{2};
  scheduler.submit(of_kind(items(1, 1), 1), only_two);
  scheduler.submit_bound(of_kind(items(2, 1), 1), 0);
  REQUIRE(drain(scheduler).size() == 2);
  scheduler.submit(of_kind(items(3, 1), 1));
  const auto grant = next(scheduler);
  REQUIRE(grant);
  CHECK(grant->engine == 1);
}

TEST_CASE("short items travel together once durations are known", "[scheduler]") {
  const Limits limits;
  Scheduler scheduler(limits);
  add_engines(scheduler, 2);
  teach(scheduler, 1, 5000, 1 * us);
  scheduler.submit(of_kind(items(2, 100'000), 1));
  const auto grants = drain(scheduler);
  REQUIRE_FALSE(grants.empty());
  std::map<int, std::uint64_t> in_hand;
  for (const Grant& grant : grants) {
    CHECK(size_of(grant) <= static_cast<std::uint64_t>(limits.batch / us));
    in_hand[grant.engine] += size_of(grant);
  }
  CHECK(size_of(grants.front()) > 50);
  CHECK(in_hand.size() == 2);
  for (const auto& [engine, count] : in_hand) {
    CHECK(count > 50);
    CHECK(count <= static_cast<std::uint64_t>(limits.in_hand / us));
  }
}

TEST_CASE("what is handed out together grows with what is known", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 2);
  scheduler.submit(items(1, 100'000));
  std::deque<Grant> running;
  std::uint64_t ended = 0;
  std::uint64_t largest = 0;
  while (ended < 2000) {
    for (const Grant& grant : drain(scheduler)) {
      CHECK(size_of(grant) <= std::max<std::uint64_t>(1, ended));
      largest = std::max(largest, size_of(grant));
      running.push_back(grant);
    }
    REQUIRE_FALSE(running.empty());
    const Grant grant = running.front();
    running.pop_front();
    ended += size_of(grant);
    scheduler.finished(grant.engine, 1, size_of(grant), us * static_cast<Nanoseconds>(size_of(grant)));
  }
  CHECK(largest > 50);
}

TEST_CASE("the end of the work is shared out evenly", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 4);
  teach(scheduler, 1, 5000, 1 * us);
  scheduler.submit(of_kind(items(1, 40), 1));
  for (const Grant& grant : drain(scheduler)) CHECK(size_of(grant) <= 5);
}

TEST_CASE("large arguments travel in smaller groups", "[scheduler]") {
  const Limits limits;
  Scheduler scheduler(limits);
  add_engines(scheduler, 1);
  teach(scheduler, 1, 5000, 1 * us);
  Work work = of_kind(items(1, 1000), 1);
  work.item_bytes = limits.batch_bytes / 4;
  scheduler.submit(work);
  for (const Grant& grant : drain(scheduler)) CHECK(size_of(grant) <= 4);
  scheduler.withdraw(1);
  work = of_kind(items(2, 1000), 1);
  work.item_bytes = 10 * limits.batch_bytes;
  scheduler.submit(work);
  for (const Grant& grant : drain(scheduler)) CHECK(size_of(grant) == 1);
}

TEST_CASE("chunks are balanced and never split", "[scheduler]") {
  const auto chunks = [](std::uint64_t count, std::uint64_t number) {
    Scheduler scheduler;
    add_engines(scheduler, 1);
    scheduler.submit(chunked(1, count, number));
    std::vector<std::uint64_t> sizes;
    while (const auto grant = next(scheduler)) {
      sizes.push_back(size_of(*grant));
      scheduler.finished(0, 1, size_of(*grant), static_cast<Nanoseconds>(size_of(*grant)) * 500 * ms);
    }
    return sizes;
  };
  CHECK(chunks(10, 4) == std::vector<std::uint64_t>{3, 3, 2, 2});
  CHECK(chunks(7, 4) == std::vector<std::uint64_t>{2, 2, 2, 1});
  CHECK(chunks(10, 1) == std::vector<std::uint64_t>{10});
  CHECK(chunks(3, 3) == std::vector<std::uint64_t>{1, 1, 1});
}

TEST_CASE("short chunks may travel together, whole", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 2);
  teach(scheduler, 1, 5000, 1 * us);
  scheduler.submit(of_kind(chunked(1, 1003, 100), 1));
  std::set<std::uint64_t> boundaries;
  for (std::uint64_t chunk = 0; chunk <= 100; ++chunk) boundaries.insert(chunk * 10 + std::min<std::uint64_t>(chunk, 3));
  std::deque<Grant> running;
  std::uint64_t at = 0;
  do {
    for (const Grant& grant : drain(scheduler)) {
      CHECK(grant.begin == at);
      CHECK(boundaries.count(grant.end) == 1);
      at = grant.end;
      running.push_back(grant);
    }
    const Grant grant = running.front();
    running.pop_front();
    scheduler.finished(grant.engine, 1, size_of(grant), us * static_cast<Nanoseconds>(size_of(grant)));
  } while (!running.empty());
  CHECK(at == 1003);
}

TEST_CASE("work that is to travel alone does", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 1);
  teach(scheduler, 1, 5000, 1 * us);
  scheduler.submit(of_kind(items(1, 3), 1));
  Work alone = of_kind(items(1, 1, 3), 1);
  alone.alone = true;
  scheduler.submit(alone);
  scheduler.submit(of_kind(items(1, 3, 4), 1));
  std::vector<Grant> all;
  while (true) {
    const auto grants = drain(scheduler);
    if (grants.empty()) break;
    for (const Grant& grant : grants) {
      all.push_back(grant);
      scheduler.finished(grant.engine, 1, size_of(grant), us * static_cast<Nanoseconds>(size_of(grant)));
    }
  }
  CHECK(std::count_if(all.begin(), all.end(), [](const Grant& g) { return g.begin <= 3 && g.end > 3 && size_of(g) != 1; }) == 0);
  CHECK(std::count_if(all.begin(), all.end(), [](const Grant& g) { return g.begin == 3 && g.end == 4; }) == 1);
}

TEST_CASE("restricted work runs only where it may", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 4);
  scheduler.submit(items(1, 10), {1, 3});
  auto grants = drain(scheduler);
  REQUIRE(grants.size() == 2);
  for (const Grant& grant : grants) CHECK(grant.engine % 2 == 1);
  // The others are still there for everybody's work, which came later.
  scheduler.submit(items(2, 10));
  grants = drain(scheduler);
  REQUIRE(grants.size() == 2);
  for (const Grant& grant : grants) {
    CHECK(grant.engine % 2 == 0);
    CHECK(grant.call == 2);
  }
  // An engine of both takes the older work first.
  scheduler.finished(3, 1, 1, 50 * ms);
  grants = drain(scheduler);
  REQUIRE(grants.size() == 1);
  CHECK(grants[0].call == 1);
}

TEST_CASE("the same targets in another order are the same queue", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 3);
  scheduler.submit(items(1, 1), {2, 0});
  scheduler.submit(items(2, 1), {0, 2});
  scheduler.submit(items(3, 1), {2, 0});
  const auto grants = drain(scheduler);
  REQUIRE(grants.size() == 2);
  CHECK(grants[0].call == 1);
  CHECK(grants[1].call == 2);
  scheduler.finished(grants[1].engine, 2, 1, ms);
  const auto last = next(scheduler);
  REQUIRE(last);
  CHECK(last->call == 3);
  CHECK(last->engine == grants[1].engine);
}

TEST_CASE("bound work goes to its engine, in order, ahead of need", "[scheduler]") {
  Limits limits;
  limits.bound_items = 8;
  Scheduler scheduler(limits);
  add_engines(scheduler, 2);
  scheduler.submit_bound(items(1, 5), 1);
  scheduler.submit_bound(items(2, 100), 1);
  std::uint64_t call = 1;
  std::uint64_t item = 0;
  const auto follow = [&](const std::vector<Grant>& grants) {
    for (const Grant& grant : grants) {
      CHECK(grant.engine == 1);
      if (grant.call != call) {
        CHECK(call == 1);
        CHECK(item == 5);
        call = grant.call;
        item = 0;
      }
      CHECK(grant.begin == item);
      item = grant.end;
    }
  };
  follow(drain(scheduler));
  CHECK(scheduler.load(1).handed_out == 8);
  CHECK(scheduler.load(1).waiting == 97);
  CHECK(scheduler.load(0).handed_out == 0);
  scheduler.finished(1, 1, 5, 5 * 50 * ms);
  follow(drain(scheduler));
  CHECK(scheduler.load(1).handed_out == 8);
  CHECK(scheduler.load(1).ended == 5);
  CHECK(item == 8);
}

TEST_CASE("a map that is submitted in pieces is one", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 1);
  teach(scheduler, 1, 5000, 1 * us);
  for (std::uint64_t piece = 0; piece < 100; ++piece) scheduler.submit(of_kind(items(1, 10, 10 * piece), 1));
  const auto grant = next(scheduler);
  REQUIRE(grant);
  CHECK(size_of(*grant) > 10);
}

TEST_CASE("what has not been handed out can be withdrawn, once", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 2);
  scheduler.submit(items(1, 10));
  scheduler.submit(items(2, 5));
  scheduler.submit_bound(items(3, 4), 0);
  REQUIRE(drain(scheduler).size() >= 2);
  const std::uint64_t before = scheduler.waiting();
  const auto ranges = scheduler.withdraw(1);
  REQUIRE(ranges.size() == 1);
  CHECK(ranges[0].begin == 2);
  CHECK(ranges[0].end == 10);
  CHECK(scheduler.waiting() == before - 8);
  CHECK(scheduler.withdraw(1).empty());
  CHECK(scheduler.withdraw(99).empty());
  scheduler.finished(1, 1, 1, ms);
  const auto grant = next(scheduler);
  REQUIRE(grant);
  CHECK(grant->call == 2);
  CHECK(scheduler.withdraw(3).size() <= 1);
}

TEST_CASE("an engine that comes later takes part", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 1);
  scheduler.submit(items(1, 10));
  CHECK(drain(scheduler).size() == 1);
  scheduler.add_engine(1);
  const auto grant = next(scheduler);
  REQUIRE(grant);
  CHECK(grant->engine == 1);
}

namespace {

// As REQUIRE, for what is asked millions of times.
void require(bool holds, const char* what) {
  if (!holds) FAIL("does not hold: " << what);
}

// What a scheduler has been told and has done, kept beside it.
class History {
 public:
  explicit History(std::uint32_t seed)
      : random_(seed), engines_(1 + static_cast<int>(random_() % 6)), running_(static_cast<std::size_t>(engines_)) {
    add_engines(scheduler_, engines_);
  }

  void run() {
    for (int step = 0; step < 300; ++step) {
      switch (random_() % 8) {
        case 0:
        case 1:
          submit();
          break;
        case 2:
          if (random_() % 4 == 0) withdraw();
          break;
        case 3:
        case 4:
          hand_out();
          break;
        default:
          finish_some();
      }
    }
    for (hand_out(); finish_some() || scheduler_.waiting() != 0;) hand_out();
    for (const auto& [number, call] : calls_) {
      const bool once = std::all_of(call.seen.begin(), call.seen.end(), [](int times) { return times == 1; });
      CHECK(once);
    }
    CHECK(scheduler_.waiting() == 0);
    for (int id = 0; id < engines_; ++id) CHECK(scheduler_.load(id).handed_out == 0);
  }

 private:
  struct Call {
    std::set<int> allowed;
    std::vector<int> seen;  // how often each item was handed out or withdrawn
    std::set<std::uint64_t> boundaries;
    std::uint64_t kind = 0;
    std::uint64_t left = 0;
    bool alone = false;
  };

  void submit() {
    const std::uint64_t number = ++last_;
    Call& call = calls_[number];
    const std::uint64_t count = 1 + random_() % (random_() % 10 == 0 ? 500 : 20);
    Work work = items(number, count);
    call.kind = work.kind = random_() % 4;
    if (random_() % 4 == 0) work.chunks = 1 + random_() % count;
    call.alone = work.alone = random_() % 8 == 0;
    work.item_bytes = random_() % 8 == 0 ? 50'000 : 8;
    call.seen.resize(count);
    call.left = count;
    for (std::uint64_t chunk = 0; chunk <= work.chunks; ++chunk)
      call.boundaries.insert(chunk * (count / work.chunks) + std::min(chunk, count % work.chunks));
    waiting_ += count;

    const auto how = random_() % 3;
    if (how == 0) {
      for (int id = 0; id < engines_; ++id) call.allowed.insert(id);
      scheduler_.submit(work);
    } else if (how == 1) {
      for (int id = 0; id < engines_; ++id) {
        if (random_() % 2 == 0) call.allowed.insert(id);
      }
      if (call.allowed.empty()) call.allowed.insert(0);
      std::vector<int> targets(call.allowed.begin(), call.allowed.end());
      std::shuffle(targets.begin(), targets.end(), random_);
      scheduler_.submit(work, targets);
    } else {
      const int id = static_cast<int>(random_() % static_cast<unsigned>(engines_));
      call.allowed.insert(id);
      scheduler_.submit_bound(work, id);
    }
  }

  void take(Call& call, std::uint64_t begin, std::uint64_t end) {
    require(begin < end, "a range has items");
    require(end <= call.seen.size(), "a range lies within its call");
    for (std::uint64_t item = begin; item < end; ++item) ++call.seen[item];
    call.left -= end - begin;
    waiting_ -= end - begin;
    require(scheduler_.waiting() == waiting_, "what waits is counted");
  }

  void hand_out() {
    while (const auto grant = next(scheduler_)) {
      Call& call = calls_.at(grant->call);
      require(call.allowed.count(grant->engine) == 1, "work goes where it may");
      require(call.boundaries.count(grant->begin) == 1, "chunks stay whole at their begin");
      require(call.boundaries.count(grant->end) == 1, "chunks stay whole at their end");
      auto& held = running_[static_cast<std::size_t>(grant->engine)];
      if (held.empty()) {
        // Whoever has nothing gets the oldest work it may do.
        for (auto older = calls_.begin(); older->first != grant->call; ++older) {
          const bool passed_over = older->second.left != 0 && older->second.allowed.count(grant->engine) == 1;
          require(!passed_over, "an idle engine gets the oldest work that it may do");
        }
      }
      take(call, grant->begin, grant->end);
      held.push_back(*grant);
    }
    for (int id = 0; id < engines_; ++id) {
      if (!running_[static_cast<std::size_t>(id)].empty()) continue;
      for (const auto& [number, call] : calls_) {
        const bool starved = call.left != 0 && call.allowed.count(id) == 1;
        require(!starved, "no engine idles beside work that it may do");
      }
    }
  }

  bool finish_some() {
    std::vector<int> busy;
    for (int id = 0; id < engines_; ++id) {
      if (!running_[static_cast<std::size_t>(id)].empty()) busy.push_back(id);
    }
    if (busy.empty()) return false;
    const int id = busy[random_() % busy.size()];
    auto& held = running_[static_cast<std::size_t>(id)];
    Grant& grant = held.front();
    const std::uint64_t count = 1 + random_() % size_of(grant);
    const std::uint64_t kind = calls_.at(grant.call).kind;
    constexpr Nanoseconds each[] = {0, 1 * us, 80 * us, 20 * ms};
    scheduler_.finished(id, kind, count, each[kind] * static_cast<Nanoseconds>(count));
    grant.begin += count;
    if (grant.begin == grant.end) held.pop_front();
    return true;
  }

  void withdraw() {
    if (calls_.empty()) return;
    const std::uint64_t number = 1 + random_() % last_;
    for (const Range& range : scheduler_.withdraw(number)) take(calls_.at(number), range.begin, range.end);
    CHECK(calls_.at(number).left == 0);
  }

  std::mt19937 random_;
  Scheduler scheduler_;
  int engines_;
  std::map<std::uint64_t, Call> calls_;
  std::vector<std::deque<Grant>> running_;
  std::uint64_t last_ = 0;
  std::uint64_t waiting_ = 0;
};

}  // namespace

TEST_CASE("under random histories each item is handed out once, where it may be, and nobody idles beside work", "[scheduler]") {
  for (std::uint32_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    History(seed).run();
  }
}

// A hand-out that looked at every engine would take these minutes rather than a second.
TEST_CASE("a hundred thousand engines", "[scheduler]") {
  constexpr int engines = 100'000;
  constexpr std::uint64_t count = 200'000;
  Scheduler scheduler;
  add_engines(scheduler, engines);
  scheduler.submit(items(1, count));
  std::deque<Grant> running;
  std::uint64_t ended = 0;
  std::vector<std::uint32_t> per_engine(engines);
  while (ended < count) {
    Grant grant;
    while (scheduler.next(grant)) running.push_back(grant);
    grant = running.front();
    running.pop_front();
    ended += size_of(grant);
    ++per_engine[static_cast<std::size_t>(grant.engine)];
    scheduler.finished(grant.engine, 1, size_of(grant), 10 * ms);
  }
  CHECK(running.empty());
  CHECK(*std::max_element(per_engine.begin(), per_engine.end()) == 2);
  CHECK(*std::min_element(per_engine.begin(), per_engine.end()) == 2);
}

TEST_CASE("what is for several engines together is handed out to all at once, in one order", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 3);
  const auto together = [&](std::uint64_t call, const std::vector<int>& engines) {
    scheduler.submit_together(items(call, engines.size()), engines);
  };
  scheduler.submit_bound(items(1, 1), 2);
  together(2, {0, 1});
  together(3, {2, 1});
  together(4, {2, 0});
  const auto grants = drain(scheduler);
  REQUIRE(grants.size() == 7);
  std::map<int, std::vector<std::uint64_t>> order;  // calls by engine
  for (const Grant& grant : grants) order[grant.engine].push_back(grant.call);
  CHECK(order[0] == std::vector<std::uint64_t>{2, 4});
  CHECK(order[1] == std::vector<std::uint64_t>{2, 3});
  CHECK(order[2] == std::vector<std::uint64_t>{1, 3, 4});
  // Item i is for the i-th engine as named.
  for (const Grant& grant : grants) {
    if (grant.call == 3) CHECK(grant.begin == (grant.engine == 2 ? 0 : 1));
  }
  CHECK(scheduler.waiting() == 0);
}

TEST_CASE("a gang waits for the engine that has too much before it, and holds up only its own", "[scheduler]") {
  const Limits limits;
  Scheduler scheduler(limits);
  add_engines(scheduler, 3);
  const std::uint64_t many = limits.bound_items + 10;
  scheduler.submit_bound(items(1, many), 0);
  scheduler.submit_together(items(2, 2), {0, 1});
  scheduler.submit_bound(items(3, 1), 1);
  scheduler.submit_bound(items(4, 1), 2);
  std::uint64_t of_first = 0;
  std::vector<std::uint64_t> others;
  for (const Grant& grant : drain(scheduler)) {
    if (grant.call == 1) {
      of_first += size_of(grant);
    } else {
      others.push_back(grant.call);
    }
  }
  CHECK(of_first == limits.bound_items);
  CHECK(others == std::vector<std::uint64_t>{4});

  scheduler.finished(0, 1, limits.bound_items, static_cast<Nanoseconds>(limits.bound_items) * ms);
  others.clear();
  for (const Grant& grant : drain(scheduler)) others.push_back(grant.call);
  CHECK(others == std::vector<std::uint64_t>{1, 2, 2, 3});
}

TEST_CASE("a gang that waits can be withdrawn, and what stood behind it goes on", "[scheduler]") {
  const Limits limits;
  Scheduler scheduler(limits);
  add_engines(scheduler, 2);
  scheduler.submit_bound(items(1, limits.bound_items + 1), 0);
  scheduler.submit_together(items(2, 2), {0, 1});
  scheduler.submit_bound(items(3, 1), 1);
  drain(scheduler);
  CHECK(scheduler.withdraw(2).size() == 2);
  std::vector<std::uint64_t> calls;
  for (const Grant& grant : drain(scheduler)) calls.push_back(grant.call);
  CHECK(calls == std::vector<std::uint64_t>{3});
  scheduler.finished(0, 1, 1, ms);
  calls.clear();
  for (const Grant& grant : drain(scheduler)) calls.push_back(grant.call);
  CHECK(calls == std::vector<std::uint64_t>{1});
  CHECK(scheduler.waiting() == 0);
}

TEST_CASE("random gangs, bound and balanced work: everything is handed out, gangs in one order", "[scheduler]") {
  std::mt19937 random(5);
  for (int history = 0; history < 200; ++history) {
    Scheduler scheduler;
    const int engines = 1 + static_cast<int>(random() % 5);
    add_engines(scheduler, engines);
    std::map<std::pair<int, std::uint64_t>, std::uint64_t> in_hand;  // by engine and call
    std::map<int, std::vector<std::uint64_t>> order;
    std::set<std::uint64_t> gangs;
    std::uint64_t submitted = 0;
    std::uint64_t handed_out = 0;
    const auto hand_out = [&] {
      for (const Grant& grant : drain(scheduler)) {
        handed_out += size_of(grant);
        in_hand[{grant.engine, grant.call}] += size_of(grant);
        if (gangs.contains(grant.call)) order[grant.engine].push_back(grant.call);
      }
    };
    for (std::uint64_t call = 1; call <= 60; ++call) {
      std::vector<int> some;
      for (int id = 0; id < engines; ++id) {
        if (random() % 2 == 0) some.push_back(id);
      }
      if (some.empty()) some.push_back(0);
      std::shuffle(some.begin(), some.end(), random);
      const std::uint64_t count = 1 + random() % 400;
      switch (random() % 4) {
        case 0:
          scheduler.submit(items(call, count));
          submitted += count;
          break;
        case 1:
          scheduler.submit_bound(items(call, count), some.front());
          submitted += count;
          break;
        default:
          gangs.insert(call);
          scheduler.submit_together(items(call, some.size()), some);
          submitted += some.size();
      }
      if (random() % 3 == 0) hand_out();
      if (random() % 3 == 0 && !in_hand.empty()) {
        const auto [who, items_there] = *std::next(in_hand.begin(), static_cast<std::ptrdiff_t>(random() % in_hand.size()));
        in_hand.erase(who);
        scheduler.finished(who.first, who.second, items_there, ms);
      }
    }
    for (hand_out(); !in_hand.empty(); hand_out()) {
      const auto [who, items_there] = *in_hand.begin();
      in_hand.erase(in_hand.begin());
      scheduler.finished(who.first, who.second, items_there, ms);
    }
    CHECK(handed_out == submitted);
    CHECK(scheduler.waiting() == 0);
    for (const auto& [engine, calls] : order) CHECK(std::is_sorted(calls.begin(), calls.end()));
  }
}

TEST_CASE("what teams run is handed to all of a team, once to a team", "[scheduler]") {
  Scheduler scheduler;
  add_engines(scheduler, 5);
  scheduler.submit_to_teams(items(1, 6), {{0, 1}, {3, 2}});
  std::map<int, std::uint64_t> given;
  std::map<std::uint64_t, std::set<int>> runners;  // by item
  const auto hand_out = [&] {
    for (const Grant& grant : drain(scheduler)) {
      for (std::uint64_t item = grant.begin; item < grant.end; ++item) {
        ++given[grant.engine];
        runners[item].insert(grant.engine);
      }
    }
  };
  hand_out();
  CHECK(runners.size() == 2);
  CHECK(scheduler.waiting() == 4);
  // Engine 4 belongs to no team, and others are not held up.
  scheduler.submit(items(2, 1, 100));
  hand_out();
  CHECK(runners[100] == std::set<int>{4});
  scheduler.finished(4, 2, 1, ms);
  while (scheduler.waiting() != 0) {
    for (const auto& [engine, count] : std::exchange(given, {})) {
      if (engine != 4) scheduler.finished(engine, 1, count, static_cast<Nanoseconds>(count) * ms);
    }
    hand_out();
  }
  CHECK(runners.size() == 7);
  for (std::uint64_t item = 0; item < 6; ++item) {
    CHECK(runners[item].size() == 2);
    CHECK((runners[item] == std::set<int>{0, 1} || runners[item] == std::set<int>{2, 3}));
  }
  CHECK(scheduler.load(0).handed_out == scheduler.load(1).handed_out);
}
