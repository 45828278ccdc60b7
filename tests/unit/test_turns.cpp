// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "driven_scheduler.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

// What the scheduler keeps of priorities.
using namespace test;

namespace {

Work of(std::int32_t priority, std::uint64_t flow, std::uint64_t call, std::uint64_t count) {
  Work work = of_kind(items(call, count), 1);
  work.priority = priority;
  work.submitter = flow;
  return work;
}

// A task of each of many priorities comes and goes.
void use_priorities(DrivenScheduler& scheduler, std::uint64_t& call, std::int32_t from, std::int32_t count) {
  for (std::int32_t priority = from; priority < from + count; ++priority) {
    scheduler.submit(of(priority, 1, ++call, 1));
    const auto grants = scheduler.drain();
    if (grants.size() != 1 || grants.front().call != call) FAIL("call " << call << " is not handed out alone");
    scheduler.finished(grants.front().engine, call, 1, 1 * ms);
  }
}

// How many of the next hand-outs are of each of the calls.
std::map<std::uint64_t, int> next(DrivenScheduler& scheduler, int hand_outs) {
  std::map<std::uint64_t, int> of_call;
  for (int i = 0; i < hand_outs; ++i) {
    const auto grants = scheduler.drain();
    if (grants.size() != 1 || size_of(grants.front()) != 1) FAIL("not one task is handed out");
    ++of_call[grants.front().call];
    scheduler.finished(grants.front().engine, grants.front().call, 1, 1 * ms);
  }
  return of_call;
}

}  // namespace

TEST_CASE("priorities without work are forgotten", "[turns]") {
  DrivenScheduler scheduler(1);
  std::uint64_t call = 0;
  std::size_t most = 0;
  for (std::int32_t round = 0; round < 100; ++round) {
    use_priorities(scheduler, call, 1'000 * round, 1'000);
    most = std::max(most, scheduler.priorities());
  }
  CHECK(most <= 70);
}

TEST_CASE("those that have work take turns as before when others are forgotten", "[turns]") {
  DrivenScheduler scheduler(1);
  std::uint64_t call = 100;
  scheduler.submit(of(0, 1, 1, 10'000));
  scheduler.submit(of(0, 2, 2, 10'000));
  for (int round = 0; round < 50; ++round) {
    const auto shares = next(scheduler, 20);
    CHECK(shares.at(1) >= 9);
    CHECK(shares.at(2) >= 9);
    use_priorities(scheduler, call, 1 + 100 * round, 100);
  }
}

TEST_CASE("who had more than others before a priority was forgotten begins anew with them", "[turns]") {
  DrivenScheduler scheduler(1);
  std::uint64_t call = 100;
  scheduler.submit(of(0, 1, 1, 500));
  CHECK(next(scheduler, 500).at(1) == 500);
  use_priorities(scheduler, call, 1, 1'000);
  scheduler.submit(of(0, 1, ++call, 500));
  const std::uint64_t again = call;
  scheduler.submit(of(0, 2, ++call, 500));
  const auto shares = next(scheduler, 100);
  CHECK(shares.at(again) >= 45);
  CHECK(shares.at(call) >= 45);
}
