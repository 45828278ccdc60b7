// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <functional>
#include <map>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::engines;

namespace {

long square(long x) { return x * x; }
long add(long a, long b) { return a + b; }

// Needs its state on the engines.
struct Scaled {
  int by = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& by;
  }
  int operator()(int x) const { return by * x; }
};

struct Joined {
  std::string separator;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& separator;
  }
  std::string operator()(std::string a, const std::string& b) const { return std::move(a) + separator + b; }
};

struct WithoutDefault {
  explicit WithoutDefault(int n) : value(n) {}
  int value;
};

}  // namespace

TEST_CASE("results are folded into one") {
  const auto view = balanced();
  CHECK(view.map_reduce(square, std::plus<>(), std::views::iota(0L, 100'000L)).get(test::limit) == 333328333350000L);
  CHECK(view.map_reduce_sync(square, add, std::vector{1L, 2L, 3L}) == 14);
  CHECK(view.map_reduce_sync([](double x, int n) { return x * n; }, std::plus<>(), std::vector{0.5, 1.5}, std::views::iota(1)) == 3.5);
  CHECK(view.map_reduce_sync(Scaled{3}, std::plus<>(), std::views::iota(0, 1000)) == 3 * 499'500);
  CHECK(view.map_reduce_sync([](int n) { return n > 500; }, std::logical_or<>(), std::views::iota(0, 1000)));
  CHECK(view.map_reduce_sync(square, rv::max, std::views::iota(0L, 1000L)) == 998'001);
  CHECK(view.map_reduce_sync(square, add, std::vector{7L}) == 49);
}

TEST_CASE("an operation need not be commutative") {
  std::string wanted;
  for (int i = 0; i < 20'000; ++i) wanted += (i == 0 ? "" : ",") + std::to_string(i);
  const auto text = [](int n) { return std::to_string(n); };
  for (const int chunks : {1, 7}) {
    const auto result = balanced().with({.chunksize = chunks}).map_reduce(text, Joined{","}, std::views::iota(0, 20'000));
    CHECK(result.get(test::limit) == wanted);
    CHECK(result.size() == 1);
    CHECK(result.progress() == 20'000);
  }
}

TEST_CASE("what is folded may be of any type") {
  using Counts = std::map<std::string, int>;
  const auto counts = balanced().map_reduce_sync(
      [](int n) {
        return Counts{{n % 2 == 0 ? "even" : "odd", 1}};
      },
      [](Counts a, const Counts& b) {
        for (const auto& [key, count] : b) a[key] += count;
        return a;
      },
      std::views::iota(0, 5001));
  CHECK(counts == Counts{{"even", 2501}, {"odd", 2500}});
  const auto large = balanced().map_reduce_sync([](int n) { return std::vector<double>(20'000, n); },
                                                [](std::vector<double> a, const std::vector<double>& b) {
                                                  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
                                                  return a;
                                                },
                                                std::views::iota(0, 100));
  CHECK(large == std::vector<double>(20'000, 4950));
  const auto other = balanced().map_reduce_sync([](int n) { return WithoutDefault(n); },
                                                [](WithoutDefault a, WithoutDefault b) { return WithoutDefault(a.value + b.value); },
                                                std::views::iota(0, 100));
  CHECK(other.value == 4950);
}

TEST_CASE("failures of a map_reduce are told item by item") {
  const auto odd_fail = [](int n) {
    if (n % 100 == 99) throw std::domain_error(std::to_string(n));
    return n;
  };
  const auto result = balanced().map_reduce(odd_fail, std::plus<>(), std::views::iota(0, 1000));
  const auto error = test::thrown<rv::CompositeError>([&] { result.get(test::limit); });
  REQUIRE(error.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(error.failures()[i].index == 100 * i + 99);
  // A single task that fails is one of several that might have.
  CHECK_THROWS_AS(balanced().map_reduce(odd_fail, std::plus<>(), std::vector{99}).get(test::limit), rv::CompositeError);
  // Where it is called depends on what is folded together, but somewhere it is.
  const auto no_sum = [](int, int) -> int { throw std::overflow_error("too many"); };
  const auto broken = balanced().with({.chunksize = 10}).map_reduce([](int n) { return n; }, no_sum, std::views::iota(495, 505));
  // On an engine, where it takes with it what was folded before it there, or on rank 0.
  try {
    broken.get(test::limit);
    FAIL("the operation has thrown");
  } catch (const rv::CompositeError& lost) {
    for (const auto& failure : lost.failures()) CHECK(test::held<rv::RemoteError>(failure.error).message() == "too many");
  } catch (const std::overflow_error& on_rank_0) {
    CHECK(std::string(on_rank_0.what()) == "too many");
  }
  CHECK_THROWS_AS(balanced().map_reduce(odd_fail, std::plus<>(), std::vector<int>()).get(test::limit), rv::UsageError);
  CHECK(test::alive());
}

TEST_CASE("a map_reduce with flags") {
  test::everyone()["calls"] = 0;
  const auto fails_once = [](int n) {
    if (n % 10 == 0 && ++rv::this_engine::vars().get<int>("calls") % 2 == 1) throw std::runtime_error("once");
    return n;
  };
  const auto result = balanced().with({.retries = 20}).map_reduce(fails_once, std::plus<>(), std::views::iota(0, 1000));
  CHECK(result.get(test::limit) == 499'500);
  const auto slow_first = [](int n) {
    if (n == 5 && ++rv::this_engine::vars().get<int>("calls") < 3) std::this_thread::sleep_for(30ms);
    return n;
  };
  test::everyone()["calls"] = 0;
  const auto timed = balanced().with({.retries = 50, .timeout = 10ms}).map_reduce(slow_first, std::plus<>(), std::views::iota(0, 20));
  CHECK(timed.get(test::limit) == 190);
  // Nothing of what ran out of time is left for the next, of whatever type it is.
  const auto slow = [](int n) {
    std::this_thread::sleep_for(5ms);
    return std::string(100, static_cast<char>('a' + n));
  };
  const auto join = [](std::string a, const std::string& b) { return std::move(a) + b; };
  for (int i = 0; i < 10; ++i) {
    CHECK_THROWS(balanced().with({.timeout = 1ms}).map_reduce(slow, join, std::vector{1, 2, 3}).get(test::limit));
    CHECK(balanced().map_reduce([](int n) { return n; }, std::plus<>(), std::vector{1, 2, 3}).get(test::limit) == 6);
    CHECK(balanced().map_reduce(slow, join, std::vector{1}).get(test::limit) == std::string(100, 'b'));
  }
}
