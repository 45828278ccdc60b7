// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "../marked.hpp"
#include "driven_scheduler.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

using namespace test;

TEST_CASE("nothing to do", "[scheduler]") {
  DrivenScheduler scheduler;
  CHECK_FALSE(scheduler.next());
  scheduler.add_engine(0);
  scheduler.add_engine(1);
  CHECK_FALSE(scheduler.next());
  CHECK(scheduler.waiting() == 0);
  scheduler.submit(items(1, 0));
  CHECK_FALSE(scheduler.next());
}

TEST_CASE("items are handed out in the order of their submission", "[scheduler]") {
  DrivenScheduler scheduler(1);
  scheduler.submit(items(1, 2));
  scheduler.submit(items(2, 1));
  scheduler.submit(items(3, 2, 10));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> order;
  while (const auto grant = scheduler.next()) {
    for (std::uint64_t item = grant->begin; item < grant->end; ++item) order.emplace_back(grant->call, item);
    scheduler.finished(grant->engine, grant->call, size_of(*grant), ms * static_cast<Nanoseconds>(size_of(*grant)));
  }
  CHECK(order == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 0}, {1, 1}, {2, 0}, {3, 10}, {3, 11}});
}

TEST_CASE("until a duration is known each engine gets one item", "[scheduler]") {
  DrivenScheduler scheduler(3);
  scheduler.submit(items(1, 100));
  const auto grants = scheduler.drain();
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
  DrivenScheduler scheduler(3);
  scheduler.teach(1, 10, 50 * ms);
  scheduler.submit(of_kind(items(1, 20), 1));
  CHECK(scheduler.drain().size() == 3);
  scheduler.finished(1, 1, 1, 50 * ms);
  auto grants = scheduler.drain();
  REQUIRE(grants.size() == 1);
  CHECK(grants[0].engine == 1);
  CHECK(grants[0].begin == 3);
  scheduler.finished(2, 1, 1, 50 * ms);
  scheduler.finished(0, 1, 1, 50 * ms);
  grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  CHECK(grants[0].engine == 2);
  CHECK(grants[1].engine == 0);
}

TEST_CASE("an idle engine is served before one that has work", "[scheduler]") {
  DrivenScheduler scheduler(3);
  scheduler.teach(1, 1000, 1 * us);
  const std::vector<int> only_two{2};
  scheduler.submit(of_kind(items(1, 1), 1), only_two);
  scheduler.submit_bound(of_kind(items(2, 1), 1), 0);
  REQUIRE(scheduler.drain().size() == 2);
  scheduler.submit(of_kind(items(3, 1), 1));
  const auto grant = scheduler.next();
  REQUIRE(grant);
  CHECK(grant->engine == 1);
}

TEST_CASE("short items travel together once durations are known", "[scheduler]") {
  const Limits limits;
  DrivenScheduler scheduler(2, limits);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(2, 100'000), 1));
  const auto grants = scheduler.drain();
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

TEST_CASE("a first item that takes next to nothing says little of the others", "[scheduler]") {
  DrivenScheduler scheduler(3);
  scheduler.submit(items(1, 1000));
  REQUIRE(scheduler.drain().size() == 3);
  scheduler.finished(1, 1, 1, 12);
  REQUIRE(scheduler.drain().size() == 1);
  CHECK(scheduler.load(1).handed_out == 1);
  // The more have ended, the more an engine may have.
  scheduler.finished(1, 1, 1, 12);
  scheduler.drain();
  CHECK(scheduler.load(1).handed_out == 2);
}

TEST_CASE("an item of unknown duration does not wait until an engine has nothing to do", "[scheduler]") {
  DrivenScheduler scheduler(1);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(2, 10'000), 1));
  REQUIRE_FALSE(scheduler.drain().empty());
  Work urgent = items(3, 2);
  urgent.priority = 1;
  scheduler.submit(urgent);
  while (scheduler.load(0).handed_out > 90) scheduler.finished(0, 2, 1, 1 * us);
  const auto grant = scheduler.next();
  REQUIRE(grant);
  CHECK(grant->call == 3);
  // What comes behind it cannot be told, so there is nothing more.
  CHECK_FALSE(scheduler.next());
}

TEST_CASE("an engine that has nothing to give back is not asked again until something has changed", "[scheduler]") {
  const ComesTo rare(rankview::marks::Mark::found_overdue);
  DrivenScheduler scheduler(2);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(2, 40), 1));
  scheduler.drain();
  while (scheduler.load(1).handed_out != 0) {
    scheduler.finished(1, 2, scheduler.load(1).handed_out, 1 * us);
    scheduler.drain();
  }
  REQUIRE(scheduler.load(0).handed_out > 1);
  REQUIRE_FALSE(scheduler.recall(0));
  REQUIRE(scheduler.recall(10 * ms));
  scheduler.give_back(0, {});
  for (Nanoseconds now = 20 * ms; now < 100 * ms; now += 10 * ms) CHECK_FALSE(scheduler.recall(now));
  scheduler.finished(0, 2, 1, 90 * ms);
  CHECK((scheduler.recall(110 * ms) || scheduler.recall(120 * ms)));
}

TEST_CASE("an engine that comes back is given work again", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.submit_bound(items(1, 2), 1);
  REQUIRE(scheduler.drain().size() == 1);
  scheduler.forget(1);
  const auto lost = scheduler.lose_engine(1);
  CHECK(lost.in_hand.size() == 1);
  CHECK_FALSE(scheduler.submit_bound(items(2, 1), 1));
  scheduler.add_engine(1);
  CHECK(scheduler.submit_bound(items(3, 1), 1));
  scheduler.submit(items(4, 1));
  scheduler.submit(items(5, 1));
  std::set<int> engines;
  std::set<std::uint64_t> calls;
  for (const Grant& grant : scheduler.drain()) {
    engines.insert(grant.engine);
    calls.insert(grant.call);
    scheduler.finished(grant, 1 * ms);
  }
  for (const Grant& grant : scheduler.drain()) calls.insert(grant.call);
  CHECK(engines == std::set<int>{0, 1});
  CHECK(calls == std::set<std::uint64_t>{3, 4, 5});
}

TEST_CASE("what has become longer than it seemed goes to who has nothing to do", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(2, 250), 1));
  // They take 20 us, and engine 1 is first at the end of what it gets.
  for (scheduler.drain(); scheduler.load(1).handed_out != 0; scheduler.drain()) {
    CHECK_FALSE(scheduler.recall(0));
    scheduler.finished(1, 2, scheduler.load(1).handed_out, static_cast<Nanoseconds>(scheduler.load(1).handed_out) * 20 * us);
  }
  REQUIRE(scheduler.waiting() == 0);
  REQUIRE(scheduler.load(0).handed_out > 15);
  const auto recall = scheduler.recall(1 * us);
  REQUIRE(recall);
  CHECK(recall->engine == 0);
  const auto held = scheduler.load(0).handed_out;
  scheduler.give_back(0, recall->ranges);
  CHECK(scheduler.load(0).handed_out == 1);
  CHECK(scheduler.waiting() == held - 1);
  REQUIRE(scheduler.next()->engine == 1);
}

TEST_CASE("one item among many that is far from the mean changes little", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.teach(1, 10, 10 * ms);
  scheduler.submit(of_kind(items(2, 100), 1));
  REQUIRE(scheduler.drain().size() == 2);
  scheduler.finished(0, 2, 1, 10);
  // Still a long one: one at a time.
  REQUIRE(scheduler.drain().size() == 1);
  CHECK(scheduler.load(0).handed_out == 1);
}

TEST_CASE("where there are many engines each is sent a message less often", "[scheduler]") {
  const Limits limits;
  const auto largest = [&limits](std::size_t engines) {
    DrivenScheduler scheduler(static_cast<int>(engines), limits);
    scheduler.teach(1, 100'000, 1 * us);
    scheduler.submit(of_kind(items(2, 10'000'000), 1));
    std::uint64_t most = 0;
    for (const Grant& grant : scheduler.drain()) most = std::max(most, size_of(grant));
    return static_cast<Nanoseconds>(most) * us;
  };
  CHECK(largest(limits.engines) == limits.batch);
  CHECK(largest(5 * limits.engines) == 5 * limits.batch);
}

TEST_CASE("what is handed out together grows with what is known", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.submit(items(1, 100'000));
  std::deque<Grant> running;
  std::uint64_t ended = 0;
  std::uint64_t largest = 0;
  while (ended < 2000) {
    for (const Grant& grant : scheduler.drain()) {
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
  DrivenScheduler scheduler(4);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(1, 40), 1));
  for (const Grant& grant : scheduler.drain()) CHECK(size_of(grant) <= 5);
}

TEST_CASE("large arguments travel in smaller groups", "[scheduler]") {
  const Limits limits;
  DrivenScheduler scheduler(1, limits);
  scheduler.teach(1, 5000, 1 * us);
  Work work = of_kind(items(1, 1000), 1);
  work.item_bytes = limits.batch_bytes / 4;
  scheduler.submit(work);
  for (const Grant& grant : scheduler.drain()) CHECK(size_of(grant) <= 4);
  scheduler.withdraw(1);
  work = of_kind(items(2, 1000), 1);
  work.item_bytes = 10 * limits.batch_bytes;
  scheduler.submit(work);
  for (const Grant& grant : scheduler.drain()) CHECK(size_of(grant) == 1);
}

TEST_CASE("chunks are balanced and never split", "[scheduler]") {
  const auto chunks = [](std::uint64_t count, std::uint64_t number) {
    DrivenScheduler scheduler(1);
    scheduler.submit(chunked(1, count, number));
    std::vector<std::uint64_t> sizes;
    while (const auto grant = scheduler.next()) {
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
  DrivenScheduler scheduler(2);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(chunked(1, 1003, 100), 1));
  std::set<std::uint64_t> boundaries;
  for (std::uint64_t chunk = 0; chunk <= 100; ++chunk) boundaries.insert(chunk * 10 + std::min<std::uint64_t>(chunk, 3));
  std::deque<Grant> running;
  std::uint64_t at = 0;
  do {
    for (const Grant& grant : scheduler.drain()) {
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
  DrivenScheduler scheduler(1);
  scheduler.teach(1, 5000, 1 * us);
  scheduler.submit(of_kind(items(1, 3), 1));
  Work alone = of_kind(items(1, 1, 3), 1);
  alone.alone = true;
  scheduler.submit(alone);
  scheduler.submit(of_kind(items(1, 3, 4), 1));
  std::vector<Grant> all;
  while (true) {
    const auto grants = scheduler.drain();
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
  DrivenScheduler scheduler(4);
  scheduler.submit(items(1, 10), {1, 3});
  auto grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  for (const Grant& grant : grants) CHECK(grant.engine % 2 == 1);
  // The others are still there for everybody's work, which came later.
  scheduler.submit(items(2, 10));
  grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  for (const Grant& grant : grants) {
    CHECK(grant.engine % 2 == 0);
    CHECK(grant.call == 2);
  }
  // An engine of both takes the older work first.
  scheduler.finished(3, 1, 1, 50 * ms);
  grants = scheduler.drain();
  REQUIRE(grants.size() == 1);
  CHECK(grants[0].call == 1);
}

TEST_CASE("the same targets in another order are the same queue", "[scheduler]") {
  DrivenScheduler scheduler(3);
  scheduler.submit(items(1, 1), {2, 0});
  scheduler.submit(items(2, 1), {0, 2});
  scheduler.submit(items(3, 1), {2, 0});
  const auto grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  CHECK(grants[0].call == 1);
  CHECK(grants[1].call == 2);
  scheduler.finished(grants[1].engine, 2, 1, ms);
  const auto last = scheduler.next();
  REQUIRE(last);
  CHECK(last->call == 3);
  CHECK(last->engine == grants[1].engine);
}

TEST_CASE("bound work goes to its engine, in order, ahead of need", "[scheduler]") {
  Limits limits;
  limits.bound_items = 8;
  DrivenScheduler scheduler(2, limits);
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
  follow(scheduler.drain());
  CHECK(scheduler.load(1).handed_out == 8);
  CHECK(scheduler.load(1).waiting == 97);
  CHECK(scheduler.load(0).handed_out == 0);
  scheduler.finished(1, 1, 5, 5 * 50 * ms);
  follow(scheduler.drain());
  CHECK(scheduler.load(1).handed_out == 8);
  CHECK(scheduler.load(1).ended == 5);
  CHECK(item == 8);
}

TEST_CASE("a map that is submitted in pieces is one", "[scheduler]") {
  DrivenScheduler scheduler(1);
  scheduler.teach(1, 5000, 1 * us);
  for (std::uint64_t piece = 0; piece < 100; ++piece) scheduler.submit(of_kind(items(1, 10, 10 * piece), 1));
  const auto grant = scheduler.next();
  REQUIRE(grant);
  CHECK(size_of(*grant) > 10);
}

TEST_CASE("what has not been handed out can be withdrawn, once", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.submit(items(1, 10));
  scheduler.submit(items(2, 5));
  scheduler.submit_bound(items(3, 4), 0);
  REQUIRE(scheduler.drain().size() >= 2);
  const std::uint64_t before = scheduler.waiting();
  CHECK(scheduler.withdraw(1) == 8);
  CHECK(scheduler.waiting() == before - 8);
  CHECK(scheduler.withdraw(1) == 0);
  CHECK(scheduler.withdraw(99) == 0);
  scheduler.finished(1, 1, 1, ms);
  const auto grant = scheduler.next();
  REQUIRE(grant);
  CHECK(grant->call == 2);
  CHECK(scheduler.withdraw(3) <= 4);
}

// What is handed out of a call, in order, when each item ends before the next is handed out.
static std::vector<std::uint64_t> run_out(DrivenScheduler& scheduler, std::uint64_t call) {
  std::vector<std::uint64_t> order;
  while (const auto grant = scheduler.next()) {
    for (std::uint64_t item = grant->begin; item < grant->end; ++item) {
      if (grant->call == call) order.push_back(item);
    }
    scheduler.finished(*grant, ms * static_cast<Nanoseconds>(size_of(*grant)));
  }
  return order;
}

TEST_CASE("single items can be withdrawn wherever they stand", "[scheduler]") {
  DrivenScheduler scheduler(1);
  const auto check = [&](const std::vector<std::uint64_t>& withdrawn, std::vector<std::uint64_t> wanted) {
    for (const std::uint64_t item : withdrawn) {
      const std::uint64_t before = scheduler.waiting();
      CHECK(scheduler.withdraw(1, item));
      CHECK(scheduler.waiting() == before - 1);
      CHECK_FALSE(scheduler.withdraw(1, item));
      CHECK(scheduler.waiting() == before - 1);
    }
    CHECK(run_out(scheduler, 1) == wanted);
    CHECK(scheduler.waiting() == 0);
    CHECK_FALSE(scheduler.withdraw(1, wanted.front()));
  };
  SECTION("one by one, the first, the last and between") {
    scheduler.submit(items(1, 10));
    scheduler.submit(items(2, 3));
    CHECK_FALSE(scheduler.withdraw(1, 10));
    CHECK_FALSE(scheduler.withdraw(3, 0));
    check({0, 1, 9, 5, 6, 4}, {2, 3, 7, 8});
  }
  SECTION("of what only one engine may run") {
    scheduler.submit_bound(items(2, 1), 0);
    scheduler.submit_bound(items(1, 5), 0);
    check({0, 2, 4}, {1, 3});
  }
  SECTION("of chunks, which stay whole but for these") {
    scheduler.submit(chunked(1, 10, 3));  // 0 to 3, 4 to 6, 7 to 9
    REQUIRE(scheduler.withdraw(1, 5));
    REQUIRE(scheduler.withdraw(1, 9));
    std::vector<std::pair<std::uint64_t, std::uint64_t>> grants;
    while (const auto grant = scheduler.next()) {
      grants.emplace_back(grant->begin, grant->end);
      scheduler.finished(*grant, ms * static_cast<Nanoseconds>(size_of(*grant)));
    }
    CHECK(grants == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, 4}, {4, 5}, {6, 7}, {7, 9}});
  }
  SECTION("of a map that goes on arriving") {
    scheduler.submit(items(1, 4));
    REQUIRE(scheduler.withdraw(1, 3));
    scheduler.submit(items(1, 4, 4));
    check({4}, {0, 1, 2, 5, 6, 7});
  }
  SECTION("of what comes late") {
    scheduler.submit(items(2, 2));
    scheduler.submit(items(1, 4));
    check({0, 2}, {1, 3});
  }
  SECTION("all of them") {
    scheduler.submit(items(1, 3));
    for (const std::uint64_t item : {1U, 0U, 2U}) CHECK(scheduler.withdraw(1, item));
    CHECK(scheduler.waiting() == 0);
    CHECK_FALSE(scheduler.next());
  }
}

TEST_CASE("an engine that comes later takes part", "[scheduler]") {
  DrivenScheduler scheduler(1);
  scheduler.submit(items(1, 10));
  CHECK(scheduler.drain().size() == 1);
  scheduler.add_engine(1);
  const auto grant = scheduler.next();
  REQUIRE(grant);
  CHECK(grant->engine == 1);
}

// A hand-out that looked at every engine would take these minutes rather than a second.
TEST_CASE("a hundred thousand engines", "[scheduler]") {
  constexpr int engines = 100'000;
  constexpr std::uint64_t count = 200'000;
  DrivenScheduler scheduler(engines);
  scheduler.submit(items(1, count));
  std::deque<Grant> running;
  std::uint64_t ended = 0;
  std::vector<std::uint32_t> per_engine(engines);
  while (ended < count) {
    Grant grant;
    for (const Grant& next : scheduler.drain()) running.push_back(next);
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

TEST_CASE("an engine that is set aside gives what it has in hand, and gets nothing before it is back", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.submit(items(1, 2));
  const auto grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  const Grant& of_first = grants[0].engine == 0 ? grants[0] : grants[1];
  CHECK(scheduler.set_aside(0) == std::vector<Range>{{1, of_first.begin, of_first.end, false}});
  CHECK(scheduler.load(0).handed_out == 0);
  scheduler.submit_bound(items(2, 1), 0);
  scheduler.submit(items(3, 2));
  CHECK(scheduler.drain().empty());
  scheduler.finished(1, 1, 1, ms);
  for (const Grant& grant : scheduler.drain()) CHECK(grant.engine == 1);
  scheduler.take_back(0);
  std::set<std::uint64_t> calls;
  for (const Grant& grant : scheduler.drain()) {
    if (grant.engine == 0) calls.insert(grant.call);
  }
  CHECK(calls.contains(2));
}

TEST_CASE("an engine that was set aside can be lost", "[scheduler]") {
  DrivenScheduler scheduler(2);
  scheduler.set_aside(0);
  scheduler.submit_bound(items(1, 1), 0);
  const Scheduler::Lost lost = scheduler.lose_engine(0);
  CHECK(lost.in_hand.empty());
  CHECK(lost.stranded == std::vector<Range>{{1, 0, 1, false}});
  CHECK(scheduler.any_idle());
  scheduler.submit(items(2, 1));
  CHECK(scheduler.drain().size() == 1);
  CHECK_FALSE(scheduler.any_idle());
}

TEST_CASE("in a pause nothing is handed out, and what runs can end", "[scheduler]") {
  DrivenScheduler scheduler(1);
  scheduler.submit(items(1, 2));
  REQUIRE(scheduler.drain().size() == 1);
  scheduler.pause();
  scheduler.finished(0, 1, 1, ms);
  CHECK(scheduler.drain().empty());
  CHECK(scheduler.waiting() == 1);
  scheduler.resume();
  CHECK(scheduler.drain().size() == 1);
}
