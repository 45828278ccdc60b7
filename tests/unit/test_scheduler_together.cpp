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

TEST_CASE("what is for several engines together is handed out to all at once, in one order", "[scheduler_together]") {
  DrivenScheduler scheduler(3);
  const auto together = [&](std::uint64_t call, const std::vector<int>& engines) {
    scheduler.submit_together(items(call, engines.size()), engines);
  };
  scheduler.submit_bound(items(1, 1), 2);
  together(2, {0, 1});
  together(3, {2, 1});
  together(4, {2, 0});
  const auto grants = scheduler.drain();
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

TEST_CASE("a gang waits for the engine that has too much before it, and holds up only its own", "[scheduler_together]") {
  const Limits limits;
  DrivenScheduler scheduler(3, limits);
  const std::uint64_t many = limits.bound_items + 10;
  scheduler.submit_bound(items(1, many), 0);
  scheduler.submit_together(items(2, 2), {0, 1});
  scheduler.submit_bound(items(3, 1), 1);
  scheduler.submit_bound(items(4, 1), 2);
  std::uint64_t of_first = 0;
  std::vector<std::uint64_t> others;
  for (const Grant& grant : scheduler.drain()) {
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
  for (const Grant& grant : scheduler.drain()) others.push_back(grant.call);
  CHECK(others == std::vector<std::uint64_t>{1, 2, 2, 3});
}

TEST_CASE("a gang that waits can be withdrawn, and what stood behind it goes on", "[scheduler_together]") {
  const Limits limits;
  DrivenScheduler scheduler(2, limits);
  scheduler.submit_bound(items(1, limits.bound_items + 1), 0);
  scheduler.submit_together(items(2, 2), {0, 1});
  scheduler.submit_bound(items(3, 1), 1);
  scheduler.drain();
  CHECK(scheduler.withdraw(2) == 2);
  std::vector<std::uint64_t> calls;
  for (const Grant& grant : scheduler.drain()) calls.push_back(grant.call);
  CHECK(calls == std::vector<std::uint64_t>{3});
  scheduler.finished(0, 1, 1, ms);
  calls.clear();
  for (const Grant& grant : scheduler.drain()) calls.push_back(grant.call);
  CHECK(calls == std::vector<std::uint64_t>{1});
  CHECK(scheduler.waiting() == 0);
}

TEST_CASE("what is withdrawn behind a gang that waits is not handed out after it", "[scheduler_together]") {
  DrivenScheduler scheduler(2);
  const std::uint64_t most = Limits().bound_items;
  scheduler.submit_bound(items(1, most + 1), 1);
  CHECK(scheduler.drain().size() == 1);
  scheduler.submit_together(items(2, 2), {0, 1});
  scheduler.submit_bound(items(3, 1), 0);
  scheduler.submit_bound(items(4, 1), 0);
  CHECK(scheduler.drain().empty());
  CHECK(scheduler.withdraw(3) == 1);
  scheduler.finished(1, 1, most, static_cast<Nanoseconds>(most) * us);
  std::vector<std::pair<int, std::uint64_t>> order;
  for (const Grant& grant : scheduler.drain()) {
    CHECK(size_of(grant) == 1);
    order.emplace_back(grant.engine, grant.call);
  }
  std::sort(order.begin(), order.end());
  CHECK(order == std::vector<std::pair<int, std::uint64_t>>{{0, 2}, {0, 4}, {1, 1}, {1, 2}});
  CHECK(scheduler.waiting() == 0);
}

TEST_CASE("random gangs, bound and balanced work: everything is handed out, gangs in one order", "[scheduler_together]") {
  const std::uint32_t seed = test::seed("gangs");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  for (int history = 0; history < 200; ++history) {
    const int engines = 1 + static_cast<int>(random() % 5);
    DrivenScheduler scheduler(engines);
    std::map<std::pair<int, std::uint64_t>, std::uint64_t> in_hand;  // by engine and call
    std::map<int, std::vector<std::uint64_t>> order;
    std::set<std::uint64_t> gangs;
    std::uint64_t submitted = 0;
    std::uint64_t handed_out = 0;
    const auto hand_out = [&] {
      for (const Grant& grant : scheduler.drain()) {
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

TEST_CASE("what teams run is handed to all of a team, once to a team", "[scheduler_together]") {
  DrivenScheduler scheduler(5);
  scheduler.submit_to_teams(items(1, 6), {{0, 1}, {3, 2}});
  std::map<int, std::uint64_t> given;
  std::map<std::uint64_t, std::set<int>> runners;  // by item
  const auto hand_out = [&] {
    for (const Grant& grant : scheduler.drain()) {
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

TEST_CASE("a gang waits for an engine that was set aside, and for no other", "[scheduler_together]") {
  DrivenScheduler scheduler(3);
  scheduler.set_aside(1);
  scheduler.submit_together(items(1, 2), {0, 1});
  scheduler.submit_together(items(2, 2), {0, 2});
  CHECK(scheduler.drain().empty());
  scheduler.take_back(1);
  std::map<int, std::vector<std::uint64_t>> order;
  for (const Grant& grant : scheduler.drain()) order[grant.engine].push_back(grant.call);
  CHECK(order[0] == std::vector<std::uint64_t>{1, 2});
  CHECK(order[1] == std::vector<std::uint64_t>{1});
  CHECK(order[2] == std::vector<std::uint64_t>{2});
}

TEST_CASE("an engine that is set aside when its turn with others had come takes another", "[scheduler_together]") {
  const ComesTo rare(rankview::marks::Mark::gang_member_set_aside);
  DrivenScheduler scheduler(2, {.bound_items = 1});
  scheduler.submit_bound(items(1, 1), 0);
  const auto first = scheduler.drain();
  REQUIRE(first.size() == 1);
  // Engine 1 has come to it, engine 0 has not.
  scheduler.submit_together(items(2, 2), {0, 1});
  CHECK(scheduler.drain().empty());
  scheduler.set_aside(1);
  scheduler.finished(first.front(), ms);
  CHECK(scheduler.drain().empty());
  scheduler.take_back(1);
  CHECK(scheduler.drain().size() == 2);
  CHECK(scheduler.waiting() == 0);
}

TEST_CASE("a team one of which was set aside is handed nothing", "[scheduler_together]") {
  DrivenScheduler scheduler(4);
  const std::vector<std::vector<int>> teams{{0, 1}, {2, 3}};
  scheduler.set_aside(1);
  scheduler.submit_to_teams(items(1, 2), teams);
  const auto grants = scheduler.drain();
  REQUIRE(grants.size() == 2);
  for (const Grant& grant : grants) CHECK(grant.engine >= 2);
  scheduler.take_back(1);
  const auto later = scheduler.drain();
  REQUIRE(later.size() == 2);
  for (const Grant& grant : later) CHECK(grant.engine < 2);
}
