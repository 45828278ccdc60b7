// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <iterator>
#include <memory>
#include <ranges>
#include <set>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

int pass(const std::string& path, int n) {
  test::Gate::pass(path);
  return n;
}

// An item that waits at the gate if there is one.
int pass_if(const std::string& path, int n) { return path.empty() ? n : pass(path, n); }

int negative_fails(int n) {
  if (n < 0) throw std::runtime_error("negative: " + std::to_string(n));
  return n;
}

int fail_or_pass(const std::string& path, int n) {
  negative_fails(n);
  return pass_if(path, n);
}

}  // namespace

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

TEST_CASE("iteration is in order and does not wait for the rest") {
  const test::Gate gate;
  std::vector<std::string> paths(20);
  paths.back() = gate.path();
  SECTION("load-balanced") {
    const auto result = balanced().map(pass_if, paths, std::views::iota(0));
    auto at = result.begin();
    for (int n = 0; n < 19; ++n, ++at) CHECK(*at == n);
    CHECK_FALSE(result.ready());
    CHECK(at != result.end());
    gate.open();
    CHECK(*at++ == 19);
    CHECK(at == result.end());
  }
  SECTION("in blocks: also what the engine of the last item has finished") {
    const auto result = everyone().map(pass_if, paths, std::views::iota(0));
    auto at = result.begin();
    for (int n = 0; n < 19; ++n, ++at) CHECK(*at == n);
    CHECK_FALSE(result.ready());
    gate.open();
    CHECK(*at == 19);
  }
  SECTION("with the for loop and algorithms") {
    gate.open();
    const auto result = balanced().map(pass_if, paths, std::views::iota(0));
    int wanted = 0;
    for (const int n : result) CHECK(n == wanted++);
    CHECK(wanted == 20);
    CHECK(std::vector<int>(result.begin(), result.end()) == result.get());
  }
}

TEST_CASE("iteration over a single task's vector, and over engines") {
  const auto list = client()[0].apply([] { return std::vector{1, 2, 3}; });
  int sum = 0;
  for (const int n : list) sum += n;
  CHECK(sum == 6);
  std::vector<int> ids;
  for (const int id : everyone().apply(rv::this_engine::id)) ids.push_back(id);
  CHECK(ids == client().ids());
  const auto one = balanced().apply([] { return std::string("alone"); });
  for (const std::string& text : one) CHECK(text == "alone");
  const auto failed = client()[0].apply([]() -> std::vector<int> { throw 1; });
  CHECK_THROWS_AS(*failed.begin(), rv::RemoteError);
  REQUIRE(failed.results().size() == 1);
  CHECK_FALSE(failed.results()[0].has_value());
}

TEST_CASE("iteration over tasks without results") {
  const auto result = balanced().map([](int n) { negative_fails(n); }, std::vector{1, -2, 3});
  int good = 0;
  int bad = 0;
  for (auto at = result.begin(); at != result.end(); ++at) {
    try {
      *at;
      ++good;
    } catch (const rv::RemoteError&) {
      ++bad;
    }
  }
  CHECK(good == 2);
  CHECK(bad == 1);
}

TEST_CASE("as_completed gives what ends first, first") {
  const test::Gate gate;
  const int count = 10 + engines();
  std::vector<std::string> paths(static_cast<std::size_t>(count));
  if (engines() > 1) paths[0] = gate.path();
  const auto result = balanced().map(pass_if, paths, std::views::iota(0));
  std::vector<std::size_t> order;
  for (const auto& [index, value] : result.as_completed()) {
    CHECK(value == static_cast<int>(index));
    order.push_back(index);
    gate.open();
  }
  REQUIRE(order.size() == static_cast<std::size_t>(count));
  CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == order.size());
  // Item 0 waited for the first that came; with one engine there is only one order.
  CHECK((order.front() == 0) == (engines() == 1));
  for (std::size_t i = 1; i < order.size(); ++i) CHECK(result.metadata(order[i - 1]).received <= result.metadata(order[i]).received);

  // Once it is over, in the same order.
  std::size_t at = 0;
  for (auto& [index, value] : result.as_completed()) CHECK(result.metadata(index).received == result.metadata(order[at++]).received);
  CHECK(at == order.size());
}

TEST_CASE("a map that is not ordered is iterated as its tasks end") {
  const test::Gate gate;
  const int count = 10 + engines();
  std::vector<std::string> paths(static_cast<std::size_t>(count));
  if (engines() > 1) paths[0] = gate.path();
  const auto result = balanced().with({.ordered = false}).map(pass_if, paths, std::views::iota(0));
  std::vector<int> came;
  for (const int value : result) {
    came.push_back(value);
    gate.open();
  }
  CHECK((came.front() == 0) == (engines() == 1));
  // Again, in the same order; and get() is in item order all the same.
  CHECK(std::vector<int>(result.begin(), result.end()) == came);
  std::sort(came.begin(), came.end());
  CHECK(result.get(test::limit) == came);
  CHECK(came.back() == count - 1);

  const auto failing = balanced().with({.ordered = false}).map(negative_fails, std::vector{1, -2, 3, -4});
  int good = 0;
  int bad = 0;
  for (auto at = failing.begin(); at != failing.end(); ++at) {
    try {
      good += *at > 0 ? 1 : 0;
    } catch (const rv::RemoteError&) {
      ++bad;
    }
  }
  CHECK(good == 2);
  CHECK(bad == 2);
  CHECK_THROWS_AS(client()[rv::all].with({.ordered = false}).map(negative_fails, std::vector{1}), rv::UsageError);
}

TEST_CASE("as_completed throws at a failed task and can go on") {
  const auto result = balanced().map(negative_fails, std::vector{1, -2, 3, -4});
  std::set<std::size_t> good;
  std::set<std::size_t> bad;
  auto completions = result.as_completed();
  for (auto at = completions.begin(); at != completions.end(); ++at) {
    try {
      good.insert((*at).first);
    } catch (const rv::RemoteError& error) {
      CHECK(error.task().item == at.index());
      bad.insert(at.index());
    }
  }
  CHECK(good == std::set<std::size_t>{0, 2});
  CHECK(bad == std::set<std::size_t>{1, 3});
}

TEST_CASE("the first exception ends the waiting") {
  const test::Gate gate;
  // The one that waits comes last, for a single engine runs them in turn.
  const auto check = [&](const auto& result) {
    CHECK(test::thrown<rv::RemoteError>([&] { result.get(rv::first_exception); }).message() == "negative: -1");
    CHECK_FALSE(result.ready());
    CHECK(test::thrown<rv::RemoteError>([&] { result.get(rv::first_exception, test::limit); }).message() == "negative: -1");
    for (const auto& [done, pending] : {result.wait(rv::first_exception), result.wait(rv::first_exception, test::limit)}) {
      CHECK(done == std::vector<std::size_t>{0});
      CHECK(pending == std::vector<std::size_t>{1});
    }
    CHECK_FALSE(result.ready());
    gate.open();
    CHECK_THROWS_AS(result.get(test::limit), rv::CompositeError);
  };
  SECTION("load-balanced") { check(balanced().map(fail_or_pass, std::vector<std::string>{"", gate.path()}, std::vector{-1, 2})); }
  SECTION("in blocks") { check(everyone().map(fail_or_pass, std::vector<std::string>{"", gate.path()}, std::vector{-1, 2})); }
  SECTION("none fails") {
    gate.open();
    const auto result = balanced().map(negative_fails, std::vector{1, 2});
    CHECK(result.get(rv::first_exception) == std::vector{1, 2});
    result.wait(rv::first_exception);
    CHECK(result.successful());
  }
}

TEST_CASE("waiting for the first exception ends with the time, too") {
  const test::Gate gate;
  const auto result = balanced().map(pass_if, std::vector<std::string>{"", gate.path()}, std::vector{1, 2});
  CHECK(result[0] == 1);
  CHECK(test::contains(test::thrown<rv::TimeoutError>([&] { result.get(rv::first_exception, 5ms); }).what(), "1 of 2"));
  const auto late = result.wait(rv::first_exception, 5ms);
  CHECK(late.done == std::vector<std::size_t>{0});
  CHECK(late.pending == std::vector<std::size_t>{1});
  gate.open();
  CHECK(result.get(rv::first_exception, test::limit) == std::vector{1, 2});
  const auto ended = result.wait(rv::first_exception, 0s);
  CHECK(ended.done == std::vector<std::size_t>{0, 1});
  CHECK(ended.pending.empty());
  CHECK(balanced().apply(negative_fails, 3).get(rv::first_exception, test::limit) == 3);
}

TEST_CASE("abort gives up what waits and lets run what runs") {
  const test::Gate gate;
  const test::Gate begun;
  // More than engines are given ahead of need, even of tasks that are known to be short.
  const std::size_t count = 5000;
  const auto run = [](const std::string& passed, const std::string& opened, int n) {
    test::Gate::open(opened);
    test::Gate::pass(passed);
    return n;
  };
  const std::vector paths(count, gate.path());
  const std::vector opens(count, begun.path());
  const auto numbers = std::views::iota(0);
  const auto check = [&](const auto& result) {
    test::Gate::pass(begun.path());
    result.abort();
    CHECK(result.progress() >= 1);
    CHECK_FALSE(result.ready());
    gate.open();
    REQUIRE(result.wait(test::limit));
    CHECK_FALSE(result.successful());
    std::size_t ran = 0;
    std::size_t aborted = 0;
    for (const auto& outcome : result.results()) {
      if (outcome) {
        ++ran;
      } else {
        static_cast<void>(test::held<rv::TaskAborted>(outcome.error()));
        ++aborted;
      }
    }
    CHECK(ran >= 1);
    CHECK(aborted >= 1);
    CHECK(ran + aborted == result.size());
    const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
    CHECK(error.size() == aborted);
    CHECK(result.metadata(result.size() - 1).status == rv::Status::aborted);
    result.abort();  // there is nothing left to give up
  };
  SECTION("load-balanced") { check(balanced().map(run, paths, opens, numbers)); }
  SECTION("in chunks") { check(balanced().with({.chunksize = 2}).map(run, paths, opens, numbers)); }
  SECTION("in blocks") { check(client()[0].map(run, paths, opens, numbers)); }
  CHECK(test::alive());
}

TEST_CASE("abort of what has ended changes nothing") {
  const auto result = balanced().map([](int n) { return n; }, std::vector{1, 2});
  result.wait();
  result.abort();
  CHECK(result.get() == std::vector{1, 2});
}

TEST_CASE("abort of a single waiting task") {
  const test::Gate gate;
  const auto blockers = balanced().map(pass, std::vector(std::size_t{5000}, gate.path()), std::views::iota(0));
  const auto one = balanced().apply(negative_fails, 3);
  one.abort();
  CHECK(one.ready());
  CHECK_THROWS_AS(one.get(0s), rv::TaskAborted);
  gate.open();
  CHECK(blockers.get(test::limit).size() == 5000);
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

TEST_CASE("metadata") {
  using Time = rv::Metadata::Time;
  const Time before = std::chrono::system_clock::now();
  const auto result = balanced()
                          .with({.label = "label of mine"})
                          .map(
                              [](int n) {
                                std::this_thread::sleep_for(2ms);
                                return negative_fails(n);
                              },
                              std::vector{1, 2, -3, 4, 5});
  REQUIRE(result.wait(test::limit));
  const Time after = std::chrono::system_clock::now();
  std::array<char, 256> host{};
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);

  for (std::size_t i = 0; i < 5; ++i) {
    const rv::Metadata m = result.metadata(i);
    CHECK(m.task == result.task_ids()[i]);
    CHECK(m.task.item == i);
    CHECK(m.label == "label of mine");
    CHECK(m.status == (i == 2 ? rv::Status::failed : rv::Status::completed));
    CHECK((m.engine >= 0 && m.engine < engines()));
    CHECK(m.host == host.data());
    CHECK(m.attempt == 1);
    // The clock is the host's own, read once and then counted on; it may have been corrected since.
    CHECK(before - 60s <= m.submitted);
    CHECK(m.submitted <= m.started);
    CHECK(m.started <= m.completed);
    CHECK(m.completed - m.started >= 2ms);
    CHECK(m.completed <= m.received);
    CHECK(m.received <= after + 60s);
    CHECK(m.error.empty() == (i != 2));
  }
  CHECK(test::contains(result.metadata(2).error, "negative: -3"));
  CHECK(result.metadata_all().size() == 5);
  CHECK(result.metadata().task.item == 0);
  CHECK_THROWS_AS(result.metadata(5), std::out_of_range);
  CHECK_THROWS_AS(result.get(), rv::CompositeError);
}

TEST_CASE("metadata of what has not ended") {
  const test::Gate gate;
  const std::size_t count = 5000;
  const auto result = balanced().map(pass, std::vector(count, gate.path()), std::views::iota(0));
  const rv::Metadata first = result.metadata(0);
  CHECK(first.status == rv::Status::handed_out);
  CHECK(first.completed == rv::Metadata::Time());
  CHECK(first.received == rv::Metadata::Time());
  const rv::Metadata last = result.metadata(count - 1);
  CHECK(last.status == rv::Status::waiting);
  CHECK(last.engine == -1);
  CHECK(last.attempt == 0);
  gate.open();
  REQUIRE(result.wait(test::limit));
  CHECK(result.metadata(count - 1).status == rv::Status::completed);
}

TEST_CASE("direct tasks know their engines") {
  const auto result = everyone().apply([] {});
  REQUIRE(result.wait(test::limit));
  for (int id = 0; id < engines(); ++id) CHECK(result.metadata(static_cast<std::size_t>(id)).engine == id);
}

TEST_CASE("task ids name each task once") {
  std::set<rv::TaskId> ids;
  std::size_t count = 0;
  const auto add = [&](const auto& result) {
    for (const rv::TaskId& id : result.task_ids()) ids.insert(id);
    count += result.size();
  };
  for (int round = 0; round < 5; ++round) {
    add(balanced().map([](int n) { return n; }, std::vector{1, 2, 3}));
    add(everyone().apply([] {}));
    add(client()[0].apply([] {}));
  }
  CHECK(ids.size() == count);
  std::ostringstream text;
  text << rv::TaskId{17, 3};
  CHECK(text.str() == "17.3");
  CHECK(std::hash<rv::TaskId>()({17, 3}) == std::hash<rv::TaskId>()({17, 3}));
}

TEST_CASE("times") {
  const auto result = balanced().map(
      [](int n) {
        std::this_thread::sleep_for(10ms);
        return n;
      },
      std::views::iota(0, 6));
  REQUIRE(result.wait(test::limit));
  const double serial = result.serial_time().count();
  const double wall = result.wall_time().count();
  CHECK(serial >= 0.060);
  CHECK(wall > 0);
  CHECK(serial <= wall * engines() * 1.001);
  CHECK(result.elapsed().count() == wall);
  CHECK(std::abs(result.speedup() - serial / wall) < 1e-9);
  double sum = 0;
  for (const auto& m : result.metadata_all()) sum += rv::Seconds(m.completed - m.started).count();
  CHECK(std::abs(sum - serial) < 1e-6);
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

TEST_CASE("a running task sees that it was given up, and what is behind it does not begin") {
  const test::Gate begun;
  const rv::EngineView one = client()[-1];
  const auto patient = one.apply(
      [](const std::string& path) {
        test::Gate::open(path);
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!rv::this_task::stop_requested()) {
          if (std::chrono::steady_clock::now() > end) return std::string("nobody asked");
          std::this_thread::sleep_for(1ms);
        }
        return std::string("stopped");
      },
      begun.path());
  // Handed out at once, and behind the first.
  const auto behind = one.map([](int i) { return i; }, std::vector{1, 2, 3});
  const auto kept = one.apply([] { return rv::this_task::stop_requested(); });
  while (behind.metadata(2).status == rv::Status::waiting) client().spin();
  test::Gate::pass(begun.path());  // else it might never begin
  behind.abort();
  patient.abort();
  CHECK(patient.get(test::limit) == "stopped");
  const auto error = test::thrown<rv::CompositeError>([&] { behind.get(test::limit); });
  REQUIRE(error.size() == 3);
  for (const auto& failure : error.failures()) test::held<rv::TaskAborted>(failure.error);
  CHECK(behind.metadata(1).status == rv::Status::aborted);
  // It was not given up, and does not see that another was.
  CHECK_FALSE(kept.get(test::limit));
  CHECK_THROWS_AS(rv::this_task::stop_requested(), rv::UsageError);
}

TEST_CASE("a running task's stop token tells that it was given up") {
  const test::Gate begun;
  const auto result = client()[-1].apply(
      [](const std::string& path) {
        const std::stop_token token = rv::this_task::stop_token();
        std::atomic<int> called = 0;
        const std::stop_callback callback(token, [&called] {
          rv::this_task::publish("called", 1);  // what a task may do, its callbacks may
          ++called;
        });
        if (token.stop_requested() || !token.stop_possible() || rv::this_task::stop_token() != token) return -1;
        test::Gate::open(path);
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (called == 0 && std::chrono::steady_clock::now() < end) {
          static_cast<void>(rv::this_task::stop_requested());
          std::this_thread::sleep_for(1ms);
        }
        return token.stop_requested() && rv::this_task::stop_token().stop_requested() ? called.load() : -2;
      },
      begun.path());
  const auto next = client()[-1].apply([] { return rv::this_task::stop_token().stop_requested(); });
  test::Gate::pass(begun.path());
  result.abort();
  CHECK(result.get(test::limit) == 1);
  CHECK(result.data().get<int>("called") == 1);
  CHECK_FALSE(next.get(test::limit));
  CHECK_THROWS_AS(rv::this_task::stop_token(), rv::UsageError);
}

TEST_CASE("the client gives up everything, or some") {
  const auto until_stopped = [](int) {
    while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    return 1;
  };
  const auto some = test::balanced().map(until_stopped, std::vector<int>(20));
  const auto more = test::everyone().apply(until_stopped, 0);
  client().abort(some);
  REQUIRE(some.wait(test::limit));
  CHECK_FALSE(some.successful());
  client().abort();
  REQUIRE(client().wait(test::limit));
  CHECK(more.ready());
  CHECK(test::alive());
}
