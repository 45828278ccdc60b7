// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "gated.hpp"

#include <chrono>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;
using test::negative_fails;
using test::pass;
using test::pass_if;

TEST_CASE("get with a timeout can be repeated") {
  const test::Gate gate;
  const auto result = client()[0].apply(pass, gate.path(), 3);
  CHECK_FALSE(result.ready());
  CHECK_THROWS_AS(result.get(0s), rv::TimeoutError);
  CHECK_THROWS_AS(result.get(5ms), rv::TimeoutError);
  CHECK_THROWS_AS(result.get(std::chrono::duration<double>(0.001)), rv::TimeoutError);
  CHECK_FALSE(result.wait(0s));
  CHECK_FALSE(result.wait(5ms));
  CHECK_THROWS_AS(result.get(-1s), rv::TimeoutError);
  gate.open();
  CHECK(result.get(test::limit) == 3);
  CHECK(result.get() == 3);
  CHECK(result.get(0s) == 3);
  CHECK(result.wait(0s));
  CHECK(result.get(std::chrono::hours(24 * 365 * 1000)) == 3);
}

TEST_CASE("a timeout says how far it is") {
  const test::Gate gate;
  const auto result = balanced().map(pass_if, std::vector<std::string>{"", gate.path()}, std::vector{1, 2});
  CHECK(*result.begin() == 1);
  const auto error = test::thrown<rv::TimeoutError>([&] { result.get(1ms); });
  CHECK(test::contains(error.what(), "1 of 2"));
}

TEST_CASE("ready, successful, size and progress") {
  const test::Gate gate;
  const auto result = balanced().map(pass_if, std::vector<std::string>{"", "", gate.path()}, std::vector{1, 2, 3});
  CHECK(result.size() == 3);
  CHECK_FALSE(result.ready());
  CHECK_THROWS_AS(result.successful(), rv::UsageError);
  CHECK_THROWS_AS(result.wall_time(), rv::UsageError);
  CHECK_THROWS_AS(result.serial_time(), rv::UsageError);
  CHECK_THROWS_AS(result.speedup(), rv::UsageError);
  CHECK(result.elapsed().count() > 0);
  auto at = result.begin();
  CHECK(*at == 1);
  CHECK(*++at == 2);
  CHECK(result.progress() == 2);
  gate.open();
  REQUIRE(result.wait(test::limit));
  CHECK(result.ready());
  CHECK(result.successful());
  CHECK(result.progress() == 3);
}

// size() counts what iteration gives, in whichever way it is iterated.
template <class T>
static void check_size(const rv::AsyncResult<T>& result, std::size_t wanted, std::size_t tasks) {
  CHECK(result.size() == wanted);
  REQUIRE(result.wait(test::limit));
  CHECK(result.size() == wanted);
  CHECK(static_cast<std::size_t>(std::distance(result.begin(), result.end())) == wanted);
  std::size_t completed = 0;
  auto completions = result.as_completed();
  for (auto at = completions.begin(); at != completions.end(); ++at) ++completed;
  CHECK(completed == wanted);
  CHECK(result.results().size() == wanted);
  CHECK(result.progress() == tasks);
  CHECK(result.task_ids().size() == tasks);
  CHECK(result.metadata_all().size() == tasks);
}

TEST_CASE("size() counts what iteration gives, and progress() counts tasks") {
  const auto q = static_cast<std::size_t>(engines());
  const auto all = everyone();
  const auto number = [](int n) { return n; };
  const auto several = [](int n) { return std::vector<int>(static_cast<std::size_t>(n), n); };
  const auto fail = [](int n) -> std::vector<int> { throw std::runtime_error("on purpose" + std::to_string(n)); };
  check_size(all.scatter("a", std::vector<double>(17, 1.0)), q, q);
  check_size(all.gather<double>("a"), 17, q);
  std::vector<double> into(17);
  check_size(all.gather_into("a", into), q, q);
  check_size(all.reduce_all<double>("a", std::plus<>()), 1, q);
  check_size(all.scatter("s", std::vector<std::string>(5, "text")), q, q);
  check_size(all.gather<std::string>("s"), 5, q);
  check_size(client()[0].gather<double>("a"), (17 + q - 1) / q, 1);
  check_size(all.push("v", std::vector{1, 2, 3}), q, q);
  check_size(all.reduce<std::vector<int>>("v", std::plus<>()), 3, q);
  check_size(all.pull<std::vector<int>>("v"), q, q);
  check_size(client()[0].pull<std::vector<int>>("v"), 3, 1);
  check_size(all.allgather<int>("v", "w"), q, q);
  check_size(all.broadcast(0, "v"), q, q);
  check_size(all.barrier(), q, q);
  check_size(all.apply(several, 4), q, q);
  check_size(all.map(several, std::views::iota(0, 6)), 6, 6);
  check_size(client()[0].apply(several, 4), 4, 1);
  check_size(client()[0].apply(number, 4), 1, 1);
  check_size(balanced().apply(several, 0), 0, 1);
  check_size(balanced().apply(several, 4), 4, 1);
  check_size(balanced().apply(fail, 4), 1, 1);  // the place where it throws
  check_size(all.gather<double>("there is none"), 1, q);
  check_size(balanced().map(number, std::views::iota(0, 7)), 7, 7);
  check_size(balanced().map_reduce(number, std::plus<>(), std::views::iota(0, 7)), 1, 7);
  check_size(balanced().map_reduce(
                 several, [](std::vector<int> a, const std::vector<int>&) { return a; }, std::views::iota(2, 9)),
             2, 7);
  check_size(balanced().apply([] {}), 1, 1);
}

TEST_CASE("one element, or several, wait for these alone") {
  const test::Gate gate;
  // Those behind the gate come last, for a single engine runs them in turn.
  std::vector<std::string> paths(12);
  paths.back() = gate.path();
  const auto check = [&](const auto& result) {
    CHECK(result[0] == 0);
    CHECK(result[10U] == 10);
    CHECK(result[-12L] == 0);
    CHECK(result[rv::slice(1, 4)] == std::vector{1, 2, 3});
    CHECK(result[rv::slice({}, -8)] == std::vector{0, 1, 2, 3});
    CHECK(result[rv::slice(8, 2, -3)] == std::vector{8, 5});
    CHECK(result[rv::slice(4, 4)].empty());
    CHECK_FALSE(result.ready());
    CHECK(test::contains(test::thrown<std::out_of_range>([&] { static_cast<void>(result[12]); }).what(), "12"));
    CHECK_THROWS_AS(result[-13], std::out_of_range);
    gate.open();
    CHECK(result[-1] == 11);
    CHECK(result[rv::slice(-2, {})] == std::vector{10, 11});
  };
  SECTION("load-balanced") { check(balanced().map(pass_if, paths, std::views::iota(0))); }
  SECTION("read as they come") { check(balanced().with({.ordered = false}).map(pass_if, paths, std::views::iota(0))); }
  SECTION("in blocks") { check(client()[0].map(pass_if, paths, std::views::iota(0))); }
}

TEST_CASE("elements of all kinds of results") {
  CHECK(everyone().apply(rv::this_engine::id)[-1] == engines() - 1);
  CHECK(client()[0].apply([] { return std::vector{1, 2, 3}; })[-1] == 3);
  CHECK(client()[0].apply([] { return std::string("alone"); })[0] == "alone");
  everyone().scatter_sync("part", std::views::iota(0, 7));
  CHECK(everyone().gather<int>("part")[rv::slice(-2, {})] == std::vector{5, 6});
  const auto flags = balanced().map([](int n) { return n % 2 == 0; }, std::vector{1, 2, 3});
  CHECK((!flags[0] && flags[1]));
  CHECK(flags[rv::slice(1, {})] == std::vector{true, false});
  const auto nothing = everyone().apply([] {});
  CHECK(nothing[0] == std::monostate());
  CHECK(nothing[rv::slice(1)].size() == 1);
  CHECK_THROWS_AS(rv::AsyncResult<int>()[0], rv::UsageError);
  CHECK_THROWS_AS(rv::AsyncResult<int>()[rv::slice(1)], rv::UsageError);
}

TEST_CASE("an element that failed throws where it is asked for, and several throw together") {
  const auto result = balanced().map(negative_fails, std::vector{0, -1, 2, -3, 4});
  CHECK(test::thrown<rv::RemoteError>([&] { static_cast<void>(result[1]); }).message() == "negative: -1");
  CHECK(result[2] == 2);
  CHECK(result[rv::slice(0, {}, 2)] == std::vector{0, 2, 4});
  const auto error = test::thrown<rv::CompositeError>([&] { static_cast<void>(result[rv::slice(2, {})]); });
  REQUIRE(error.size() == 1);
  CHECK(error.failures()[0].index == 3);
}

TEST_CASE("an empty handle") {
  const rv::AsyncResult<int> none;
  CHECK_FALSE(none.valid());
  CHECK_THROWS_AS(none.get(), rv::UsageError);
  CHECK_THROWS_AS(none.get(1s), rv::UsageError);
  CHECK_THROWS_AS(none.wait(), rv::UsageError);
  CHECK_THROWS_AS(none.wait(1s), rv::UsageError);
  CHECK_THROWS_AS(none.ready(), rv::UsageError);
  CHECK_THROWS_AS(none.successful(), rv::UsageError);
  CHECK_THROWS_AS(none.size(), rv::UsageError);
  CHECK_THROWS_AS(none.progress(), rv::UsageError);
  CHECK_THROWS_AS(none.abort(), rv::UsageError);
  CHECK_THROWS_AS(none.metadata(), rv::UsageError);
  CHECK_THROWS_AS(none.task_ids(), rv::UsageError);
  CHECK_THROWS_AS(none.elapsed(), rv::UsageError);
  CHECK_THROWS_AS(none.results(), rv::UsageError);
  CHECK_THROWS_AS(none.as_completed(), rv::UsageError);
  CHECK_THROWS_AS(none.get(rv::first_exception), rv::UsageError);
  CHECK_THROWS_AS(none.wait_interactive(), rv::UsageError);
  CHECK_THROWS_AS(rv::AsyncResult<std::vector<int>>().get(), rv::UsageError);
  CHECK_THROWS_AS(rv::AsyncResult<void>().get(), rv::UsageError);

  rv::AsyncResult<int> moved = balanced().apply([] { return 1; });
  const rv::AsyncResult<int> taken = std::move(moved);
  CHECK_FALSE(moved.valid());  // NOLINT(bugprone-use-after-move): that is what is asked
  CHECK_THROWS_AS(moved.get(), rv::UsageError);
  CHECK(taken.get(test::limit) == 1);
}

TEST_CASE("copies share one result") {
  rv::AsyncResult<std::vector<int>> copy;
  {
    const auto result = balanced().map([](int n) { return n; }, std::vector{1, 2, 3});
    copy = result;
    CHECK(&copy.get() == &result.get());
  }
  CHECK(copy.get(test::limit) == std::vector{1, 2, 3});
  CHECK(std::move(copy).get() == std::vector{1, 2, 3});
}

TEST_CASE("a result that nobody keeps") {
  const auto square = [](int n) { return n * n; };
  {
    const test::Gate gate;
    static_cast<void>(balanced().map(pass, std::vector(std::size_t{100}, gate.path()), std::views::iota(0)));
    static_cast<void>(everyone().apply(pass, gate.path(), 1));
    everyone().push("dropped", std::vector<double>(100'000, 1.0));
    static_cast<void>(client()[0].apply(
        [](const std::string& path) { return std::vector<double>(100'000, static_cast<double>(path.size())); }, gate.path()));
    static_cast<void>(everyone().map([](int n) { return std::vector<int>(20'000, n); }, std::views::iota(0, 40)));
    CHECK_FALSE(client().wait(1ms));
  }
  CHECK(client().wait(test::limit));
  // The tasks have run all the same.
  CHECK(everyone()["dropped"].get<std::vector<double>>().back().size() == 100'000);
  CHECK(balanced().map_sync(square, std::vector{1, 2}) == std::vector{1, 4});
  for (int round = 0; round < 20; ++round) {
    auto result = everyone().map([](int n) { return std::vector<int>(20'000, n); }, std::views::iota(0, 40));
    CHECK((*result.begin()).size() == 20'000);
  }
  CHECK(client().wait(test::limit));
  CHECK(test::alive());
}

// Memory that a value is still being written into must not go with the handle: a test for AddressSanitizer above all.
TEST_CASE("a result that is dropped while several long values arrive") {
  for (int round = 0; round < 60; ++round) {
    // After some time that is right for some of the rounds.
    const auto result = everyone().apply([](int n) { return std::vector<int>(2'000'000, n); }, round);
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(round); std::chrono::steady_clock::now() < end;)
      client().spin();
  }
  CHECK(client().wait(test::limit));
  CHECK(test::alive());
}

TEST_CASE("a failure that nobody asked for is told on stderr") {
  const auto fail = []() -> int { throw std::runtime_error("nobody will ask"); };
  test::Stderr captured;
  SECTION("dropped before it failed") { static_cast<void>(balanced().with({.label = "unseen"}).apply(fail)); }
  SECTION("dropped after it failed") {
    const auto result = balanced().with({.label = "unseen"}).apply(fail);
    result.wait();
  }
  SECTION("dropped before the map failed") {
    static_cast<void>(
        balanced().with({.label = "unseen"}).map([](int) -> int { throw std::runtime_error("nobody will ask"); }, std::vector(50, 1)));
  }
  client().wait(test::limit);
  const std::string text = captured.text();
  CHECK(test::contains(text, "nobody will ask"));
  CHECK(test::contains(text, "unseen"));
}

TEST_CASE("a failure that somebody has seen is not told again") {
  test::Stderr captured;
  {
    const auto fail = [](int) -> int { throw std::runtime_error("has been seen"); };
    const auto a = balanced().apply(fail, 1);
    CHECK_THROWS_AS(a.get(test::limit), rv::RemoteError);
    const auto b = balanced().map(fail, std::vector{1, 2});
    CHECK_THROWS_AS(b.get(test::limit), rv::CompositeError);
    const auto c = balanced().map(fail, std::vector{1, 2});
    CHECK(c.results().size() == 2);
    const auto d = balanced().apply(fail, 1);
    d.wait();
    CHECK_FALSE(d.successful());
    CHECK_THROWS_AS(balanced().apply_sync(fail, 1), rv::RemoteError);
    CHECK_THROWS_AS(everyone().map_sync(fail, std::vector{1, 2}), rv::CompositeError);
  }
  CHECK(client().wait(test::limit));
  CHECK(captured.text().empty());
}

TEST_CASE("waiting interactively, but not at a terminal") {
  test::Stderr captured;
  const auto result = balanced().map(
      [](int n) {
        std::this_thread::sleep_for(5ms);
        return negative_fails(n);
      },
      std::vector{1, 2, -3, 4, 5, 6, 7});
  result.wait_interactive(10ms);
  CHECK(result.ready());
  CHECK_FALSE(result.successful());
  const auto none = balanced().map(negative_fails, std::vector<int>());
  none.wait_interactive();
  const std::string text = captured.text();
  CHECK(test::contains(text, "7/7"));
  CHECK(test::contains(text, "0/0"));
  CHECK_FALSE(test::contains(text, "\r"));
}

TEST_CASE("results complete while the client computes") {
  const auto start = std::chrono::steady_clock::now();
  const auto slow = [](int n) {
    std::this_thread::sleep_for(2ms);
    return n;
  };
  const auto map = balanced().map(slow, std::views::iota(0, 100));
  const auto long_ones = everyone().apply([] {
    std::this_thread::sleep_for(50ms);
    return std::vector<double>(100'000, 1.5);
  });
  const auto bound = client()[0].map(slow, std::views::iota(0, 50));
  // Two seconds without a call of the library.
  volatile double x = 1;
  while (std::chrono::steady_clock::now() - start < 2s) x = x * 1.0000001;
  const auto computed = std::chrono::steady_clock::now() - start;
  const auto check = [&](const auto& result) {
    for (const auto& m : result.metadata_all()) {
      CHECK(m.received != rv::Metadata::Time());
      CHECK(m.received - m.submitted < computed);
    }
    CHECK(result.successful());
  };
  check(map);
  check(long_ones);
  check(bound);
  CHECK(long_ones.get()[0].size() == 100'000);
}
