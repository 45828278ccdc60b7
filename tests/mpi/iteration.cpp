// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "gated.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ranges>
#include <set>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;
using test::negative_fails;
using test::pass_if;

// Results one by one, in order or as they come, and the first that failed.
namespace {

int fail_or_pass(const std::string& path, int n) {
  negative_fails(n);
  return pass_if(path, n);
}

}  // namespace

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
