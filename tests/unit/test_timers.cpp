// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/timers.hpp"
#include "seed.hpp"
#include "support.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>

using rankview::controller::Timers;

TEST_CASE("timers go off in the order of their times, when these have come", "[timers]") {
  Timers timers;
  CHECK(timers.empty());
  CHECK_FALSE(timers.next(1000));
  timers.add(30, 1);
  timers.add(10, 2);
  timers.add(20, 3);
  CHECK_FALSE(timers.next(9));
  CHECK(timers.next(20) == 2);
  CHECK(timers.next(20) == 3);
  CHECK_FALSE(timers.next(20));
  CHECK(timers.next(30) == 1);
  CHECK(timers.empty());
}

TEST_CASE("timers of calls that have ended are dropped", "[timers]") {
  Timers timers;
  std::set<std::uint64_t> open;
  const auto ended = [&open](std::uint64_t call) { return !open.contains(call); };
  // One that stays, and many that come and go.
  timers.add(5, 0);
  open.insert(0);
  std::size_t most = 0;
  for (std::uint64_t call = 1; call <= 100'000; ++call) {
    timers.add(1'000'000, call);
    timers.note_end(ended);
    most = std::max(most, timers.size());
  }
  CHECK(most <= 70);
  CHECK(timers.next(5) == 0);
}

TEST_CASE("random timers go off but for those of calls that have ended", "[timers]") {
  const std::uint32_t seed = test::seed("timers");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  Timers timers;
  std::map<std::uint64_t, std::int64_t> open;  // calls whose timers have not gone off, and when these will
  std::set<std::uint64_t> gone_off;            // calls that have not ended, and whose timers have gone off
  const auto ended = [&](std::uint64_t call) { return !open.contains(call) && !gone_off.contains(call); };
  std::int64_t now = 0;
  for (std::uint64_t call = 1; call <= 20'000; ++call) {
    const std::int64_t when = now + 1 + static_cast<std::int64_t>(random() % 3000);
    timers.add(when, call);
    open.emplace(call, when);
    // More end than come for a while, then the other way round.
    for (auto ends = random() % ((call / 2000) % 2 == 0 ? 2 : 4); ends != 0 && open.size() + gone_off.size() != 0; --ends) {
      if (gone_off.empty() || (random() % 2 == 0 && !open.empty())) {
        open.erase(std::next(open.begin(), static_cast<std::ptrdiff_t>(random() % open.size())));
      } else {
        gone_off.erase(gone_off.begin());
      }
      timers.note_end(ended);
    }
    now += static_cast<std::int64_t>(random() % 3);
    while (const auto due = timers.next(now)) {
      const auto known = open.find(*due);
      if (known == open.end()) continue;
      REQUIRE(known->second <= now);
      gone_off.insert(*due);
      open.erase(known);
    }
    REQUIRE(std::none_of(open.begin(), open.end(), [now](const auto& timer) { return timer.second <= now; }));
    REQUIRE(timers.size() <= 2 * (open.size() + gone_off.size()) + 65);
  }
}
