// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/id_set.hpp"

#include "support.hpp"

#include <random>
#include <set>

using rankview::scheduler::IdSet;

TEST_CASE("a set of numbers against std::set", "[id_set]") {
  constexpr int bound = 300;
  IdSet ids;
  ids.reserve(bound);
  std::set<int> model;
  const std::uint32_t seed = test::seed("id_set");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  const auto any = [&random] { return static_cast<int>(random() % bound); };
  for (int round = 0; round < 10'000; ++round) {
    const int id = any();
    const bool member = random() % (1 + static_cast<unsigned>(round) / 1000) == 0;
    ids.set(id, member);
    if (member) {
      model.insert(id);
    } else {
      model.erase(id);
    }
    REQUIRE(ids.size() == model.size());
    REQUIRE(ids.contains(id) == member);
    if (model.empty()) continue;
    const int from = any();
    const auto behind = model.lower_bound(from);
    REQUIRE(ids.next(from) == (behind == model.end() ? *model.begin() : *behind));
    REQUIRE(ids.next(10 * bound) == *model.begin());
  }
}

TEST_CASE("a set of numbers grows", "[id_set]") {
  IdSet ids;
  ids.reserve(1);
  ids.set(0, true);
  ids.reserve(65);
  ids.set(64, true);
  CHECK(ids.size() == 2);
  CHECK(ids.next(1) == 64);
  CHECK(ids.next(65) == 0);
}
