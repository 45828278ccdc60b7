// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "../marked.hpp"
#include "driven_scheduler.hpp"

#include <algorithm>

// Work that engines run side by side.
using namespace test;

namespace {

// One that takes so many slots.
Work sized(std::uint64_t call, std::uint16_t slots, std::uint64_t count = 1) {
  Work work = items(call, count);
  work.kind = 1;
  work.slots = slots;
  return work;
}

Work of_flow(Work work, std::uint64_t flow) {
  work.submitter = flow;
  return work;
}

std::vector<int> engines_of(const std::vector<Grant>& grants) {
  std::vector<int> ids;
  for (const Grant& grant : grants) ids.push_back(grant.engine);
  return ids;
}

}  // namespace

TEST_CASE("an engine is handed as much as it has slots for", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 4);
  scheduler.submit(sized(1, 1, 10));
  CHECK(scheduler.drain().size() == 4);
  scheduler.finished(0, 1, 1, 1 * ms);
  const auto next = scheduler.drain();
  REQUIRE(next.size() == 1);
  CHECK(next.front().begin == 4);
  CHECK(scheduler.waiting() == 5);
  CHECK_FALSE(scheduler.recall(1'000 * ms));
}

TEST_CASE("several engines are filled in turn", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  for (int id = 0; id < 3; ++id) scheduler.add_engine(id, 2);
  scheduler.submit(sized(1, 1, 6));
  CHECK(engines_of(scheduler.drain()) == std::vector<int>{0, 1, 2, 0, 1, 2});
}

TEST_CASE("packed work goes where least is left", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  for (int id = 0; id < 3; ++id) scheduler.add_engine(id, 4);
  Work work = sized(1, 1, 6);
  work.policy = Policy::pack;
  scheduler.submit(work);
  const auto ids = engines_of(scheduler.drain());
  REQUIRE(ids.size() == 6);
  CHECK(std::count(ids.begin(), ids.end(), ids.front()) == 4);
  CHECK(std::set<int>(ids.begin(), ids.end()).size() == 2);
  // So the third has room for what is large.
  scheduler.submit(sized(2, 4));
  CHECK(scheduler.drain().size() == 1);
}

TEST_CASE("what takes an engine as a whole waits for the rest, and the rest for it", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 3);
  scheduler.submit(sized(1, 1, 2));
  CHECK(scheduler.drain().size() == 2);
  scheduler.submit(items(2, 1));
  CHECK(scheduler.drain().empty());
  scheduler.submit(sized(3, 1));
  CHECK(scheduler.drain().empty());  // or the second might wait for ever
  scheduler.finished(0, 1, 1, 1 * ms);
  CHECK(scheduler.drain().empty());
  scheduler.finished(0, 1, 1, 1 * ms);
  const auto whole = scheduler.drain();
  REQUIRE(whole.size() == 1);
  CHECK(whole.front().call == 2);
  scheduler.finished(whole.front(), 1 * ms);
  CHECK(scheduler.drain().front().call == 3);
}

// However many others come that need less.
TEST_CASE("what needs much room gets its turn", "[scheduler_slots]") {
  const ComesTo rare(rankview::marks::Mark::engine_kept_for_large);
  const auto slots = static_cast<std::uint16_t>(GENERATE(2, 4, 0));
  DrivenScheduler scheduler;
  for (int id = 0; id < 2; ++id) scheduler.add_engine(id, 4);
  scheduler.submit(sized(1, 1, 1000));
  std::deque<Grant> running;
  for (const Grant& grant : scheduler.drain()) running.push_back(grant);
  scheduler.submit(of_flow(sized(2, slots), 1));
  int ended = 0;
  for (bool begun = false; !begun; ++ended) {
    REQUIRE(ended <= 8);
    scheduler.finished(running.front(), 1 * ms);
    running.pop_front();
    for (const Grant& grant : scheduler.drain()) {
      begun = begun || grant.call == 2;
      running.push_back(grant);
    }
  }
}

// Which may take for ever.
TEST_CASE("what needs much room does not wait for an engine that sits in another task", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  for (int id = 0; id < 3; ++id) scheduler.add_engine(id, 4);
  scheduler.submit(items(1, 2));
  CHECK(scheduler.drain().size() == 2);
  scheduler.submit(sized(2, 1, 1000));
  std::deque<Grant> running;
  for (const Grant& grant : scheduler.drain()) running.push_back(grant);
  CHECK(running.size() == 4);
  scheduler.submit(of_flow(sized(3, 4), 1));
  int ended = 0;
  for (bool begun = false; !begun; ++ended) {
    REQUIRE(ended <= 5);
    scheduler.finished(running.front(), 1 * ms);
    running.pop_front();
    for (const Grant& grant : scheduler.drain()) {
      begun = begun || grant.call == 3;
      running.push_back(grant);
    }
  }
}

TEST_CASE("what needs little gets its turn beside what takes whole engines", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 4);
  scheduler.teach(7, 1000, 1 * us);
  scheduler.submit(of_kind(items(1, 100'000), 7));
  std::uint64_t in_hand = 0;
  int steps = 0;
  for (bool begun = false; !begun; ++steps) {
    REQUIRE(steps <= 20);
    for (const Grant& grant : scheduler.drain()) {
      begun = begun || grant.call == 2;
      in_hand += size_of(grant);
    }
    if (begun) break;
    const std::uint64_t ended = std::min<std::uint64_t>(in_hand, 150);
    scheduler.finished(0, 1, ended, 1 * us * static_cast<Nanoseconds>(ended));
    in_hand -= ended;
    // It is handed the next before it has ended what it has; the other comes in the middle.
    if (steps == 4) scheduler.submit(of_flow(sized(2, 1), 1));
  }
  CHECK(steps > 4);
}

TEST_CASE("what is more urgent is not kept from an engine", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 4);
  scheduler.submit(sized(1, 1, 4));
  CHECK(scheduler.drain().size() == 4);
  scheduler.submit(sized(2, 4));
  CHECK(scheduler.drain().empty());
  Work urgent = sized(3, 1);
  urgent.priority = 1;
  scheduler.submit(urgent);
  scheduler.finished(0, 1, 1, 1 * ms);
  const auto next = scheduler.drain();
  REQUIRE(next.size() == 1);
  CHECK(next.front().call == 3);
}

TEST_CASE("an engine is not kept for what has been withdrawn", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 4);
  scheduler.submit(sized(1, 1, 4));
  CHECK(scheduler.drain().size() == 4);
  scheduler.submit(sized(2, 4));
  scheduler.submit(sized(3, 1));
  CHECK(scheduler.drain().empty());
  scheduler.finished(0, 1, 1, 1 * ms);
  const bool one = GENERATE(false, true);
  if (one) {
    CHECK(scheduler.withdraw(2, 0));
  } else {
    CHECK(scheduler.withdraw(2) == 1);
  }
  const auto next = scheduler.drain();
  REQUIRE(next.size() == 1);
  CHECK(next.front().call == 3);
}

TEST_CASE("what no engine is large enough for is refused, and stranded when the last that was goes", "[scheduler_slots]") {
  DrivenScheduler scheduler;
  scheduler.add_engine(0, 2);
  scheduler.add_engine(1, 4);
  CHECK_FALSE(scheduler.submit(sized(1, 5)));
  CHECK_FALSE(scheduler.submit_bound(sized(2, 3), 0));
  CHECK(scheduler.submit(sized(3, 3, 2)));
  CHECK(engines_of(scheduler.drain()) == std::vector<int>{1});
  CHECK(scheduler.submit(sized(4, 2)));
  CHECK(engines_of(scheduler.drain()) == std::vector<int>{0});
  const Scheduler::Lost lost = scheduler.lose_engine(1);
  CHECK(lost.in_hand == std::vector<Range>{{3, 0, 1, false}});
  CHECK(lost.stranded == std::vector<Range>{{3, 1, 2, false}});
  CHECK(scheduler.waiting() == 0);
}
