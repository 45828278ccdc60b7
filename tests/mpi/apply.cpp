// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <ranges>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

namespace {

int twice(int n) { return 2 * n; }
int thrice(int n) noexcept { return 3 * n; }
using Function = int (*)(int);
Function choose(bool first) {
  if (first) return twice;
  return [](int n) { return 10 * n; };
}

struct Square {
  double operator()(double x) const { return x * x; }
};

// A function object that travels, and counts how often it does.
struct Scale {
  static inline std::atomic<int> saved = 0;
  static inline std::atomic<int> loaded = 0;

  int factor = 0;
  std::vector<int> extra;

  int operator()(int n) const { return factor * n + static_cast<int>(extra.size()); }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    ++(Archive::is_loading::value ? loaded : saved);
    archive& factor;
    std::size_t size = extra.size();
    archive& size;
    extra.resize(size);
    for (int& n : extra) archive& n;
  }
};

// Its state cannot be read the first time.
struct SecondTry {
  static inline std::atomic<int> tries = 0;

  int factor = 0;

  int operator()(int n) const { return factor * n; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& factor;
    if (Archive::is_loading::value && tries++ == 0) throw std::runtime_error("not the first time");
  }
};

// Its state cannot be sent.
struct Unsendable {
  int factor = 0;
  int operator()(int n) const { return factor * n; }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if (Archive::is_saving::value) throw std::domain_error("this state stays here");
    archive& factor;
  }
};

}  // namespace

TEST_CASE("apply takes functions, lambdas and function objects") {
  for (int id : client().ids()) {
    CHECK(client()[id].apply_sync(twice, 21) == 42);
    CHECK(client()[id].apply_sync(thrice, 5) == 15);
    CHECK(client()[id].apply_sync(&twice, id) == 2 * id);
    CHECK(client()[id].apply_sync([](int a, int b) { return a - b; }, id, 3) == id - 3);
    CHECK(client()[id].apply_sync([](auto a, auto b) { return a + b; }, id, 3) == id + 3);
    CHECK(client()[id].apply_sync(Square(), 1.5) == 2.25);
    CHECK(client()[id].apply_sync(std::plus<>(), 1, 2) == 3);
  }
  CHECK(balanced().apply_sync(twice, 4) == 8);
  CHECK(balanced().apply(twice, 4).get(test::limit) == 8);
  CHECK(balanced().apply_async(twice, 5).get(test::limit) == 10);
}

TEST_CASE("one engine gives a value, several a vector, even if it is one") {
  static_assert(std::is_same_v<decltype(client()[0].apply_sync(twice, 1)), int>);
  static_assert(std::is_same_v<decltype(client()[0].apply(twice, 1)), rv::AsyncResult<int>>);
  static_assert(std::is_same_v<decltype(client()[{0}].apply_sync(twice, 1)), std::vector<int>>);
  static_assert(std::is_same_v<decltype(everyone().apply(twice, 1)), rv::AsyncResult<std::vector<int>>>);
  static_assert(std::is_same_v<decltype(balanced().apply(twice, 1)), rv::AsyncResult<int>>);
  CHECK(client()[{0}].apply_sync(twice, 1) == std::vector<int>{2});
  CHECK(everyone().apply_sync(twice, 7) == std::vector<int>(client().size(), 14));
  CHECK(everyone().apply_async(twice, 7).get(test::limit) == std::vector<int>(client().size(), 14));
}

TEST_CASE("every engine is a process of its own") {
  const auto pids = everyone().apply_sync(getpid);
  REQUIRE(pids.size() == client().size());
  CHECK(std::set<pid_t>(pids.begin(), pids.end()).size() == pids.size());
  // Only a run of one rank has its engine in the client's own process; a run of two has one elsewhere.
  if (pids.size() > 1) CHECK(std::count(pids.begin(), pids.end(), getpid()) == 0);
}

TEST_CASE("functions without a result") {
  static_assert(std::is_void_v<decltype(client()[0].apply_sync([] {}))>);
  static_assert(std::is_void_v<decltype(everyone().apply_sync([] {}))>);
  client()[0].apply_sync([] {});
  everyone().apply_sync([](int) {}, 3);
  const auto one = balanced().apply([] {});
  REQUIRE(one.wait(test::limit));
  one.get();
  CHECK(one.successful());
  CHECK(one.size() == 1);
  const auto all = everyone().apply([] {});
  all.get(test::limit);
  CHECK(all.size() == client().size());
}

TEST_CASE("function pointers travel as arguments and as results") {
  const auto call = [](Function f, int n) { return f(n); };
  CHECK(everyone().apply_sync(call, twice, 8) == std::vector<int>(client().size(), 16));
  CHECK(everyone().apply_sync(call, &thrice, 8) == std::vector<int>(client().size(), 24));
  for (const Function f : everyone().apply_sync(choose, true)) CHECK(f == &twice);
  for (const Function f : everyone().apply_sync(choose, false)) CHECK(f(4) == 40);
  const std::vector<Function> functions = {twice, choose(false)};
  CHECK(balanced().map_sync(call, functions, std::vector{1, 2}) == std::vector<int>{2, 20});
}

TEST_CASE("a null function is a usage error") {
  const Function none = nullptr;
  CHECK_THROWS_AS(client()[0].apply_sync(none, 1), rv::UsageError);
  CHECK(test::alive());
}

TEST_CASE("a lambda whose bytes may be copied") {
  int offset = 100;
  const double factor = 0.5;
  const auto f = rv::by_value([offset, factor](int n) { return offset + factor * n; });
  CHECK(everyone().apply_sync(f, 10) == std::vector<double>(client().size(), 105.0));
  CHECK(balanced().map_sync(f, std::vector{0, 2, 4}) == std::vector<double>{100, 101, 102});
  const auto generic = rv::by_value([offset](auto n) { return offset + n; });
  CHECK(client()[0].apply_sync(generic, 1) == 101);
}

TEST_CASE("the state of a function object is sent once per call and engine") {
  everyone().apply_sync([] { Scale::loaded = 0; });
  Scale::saved = 0;
  Scale scale{3, {1, 2}};
  std::vector<int> wanted;
  for (int n = 0; n < 500; ++n) wanted.push_back(3 * n + 2);

  SECTION("load-balanced map") { CHECK(balanced().map_sync(scale, std::views::iota(0, 500)) == wanted); }
  SECTION("map in blocks") { CHECK(everyone().map_sync(scale, std::views::iota(0, 500)) == wanted); }
  SECTION("map in chunks") { CHECK(balanced().with({.chunksize = 7}).map(scale, std::views::iota(0, 500)).get(test::limit) == wanted); }
  SECTION("apply") { CHECK(everyone().apply_sync(scale, 5) == std::vector<int>(client().size(), 17)); }

  CHECK(Scale::saved == 1);
  for (const int loaded : everyone().apply_sync([] { return Scale::loaded.load(); })) CHECK(loaded <= 1);
}

TEST_CASE("a second call sends the state as it is then") {
  Scale scale{3, {}};
  const auto first = everyone().apply(scale, 1);
  scale.factor = 4;
  const auto second = everyone().apply(scale, 1);
  CHECK(first.get(test::limit) == std::vector<int>(client().size(), 3));
  CHECK(second.get(test::limit) == std::vector<int>(client().size(), 4));
}

TEST_CASE("a function object with a large state") {
  const Scale scale{1, std::vector<int>(100'000)};
  CHECK(everyone().apply_sync(scale, 5) == std::vector<int>(client().size(), 100'005));
  CHECK(balanced().map_sync(scale, std::views::iota(0, 20)).back() == 100'019);
}

TEST_CASE("a function object that cannot be sent throws in the caller") {
  CHECK_THROWS_AS(everyone().apply_sync(Unsendable{2}, 1), std::domain_error);
  CHECK_THROWS_AS(everyone().apply(Unsendable{2}, 1), std::domain_error);
  CHECK_THROWS_AS(balanced().map(Unsendable{2}, std::vector{1, 2}), std::domain_error);
  CHECK(test::alive());
}

TEST_CASE("a state that cannot be read is an error of its tasks, which keep their own arguments") {
  everyone().apply_sync([] { SecondTry::tries = 0; });
  const auto result = client().load_balanced_view(std::vector{0}).with({.chunksize = 5}).map(SecondTry{10}, std::vector{0, 1, 2, 3, 4});
  REQUIRE(result.wait(test::limit));
  const auto outcomes = result.results();
  REQUIRE(outcomes.size() == 5);
  CHECK(test::contains(test::held<rv::RemoteError>(outcomes[0].error()).message(), "not the first time"));
  for (std::size_t i = 1; i < 5; ++i) {
    REQUIRE(outcomes[i].has_value());
    CHECK(*outcomes[i] == static_cast<int>(10 * i));
  }
}
