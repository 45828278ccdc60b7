// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

int where(int) { return rv::this_engine::id(); }

}  // namespace

TEST_CASE("each task runs once, on one of the view's engines") {
  const auto ran = balanced().map_sync(where, std::vector<int>(200));
  REQUIRE(ran.size() == 200);
  for (const int id : ran) CHECK((id >= 0 && id < engines()));

  everyone().apply_sync([] { rv::this_engine::vars().set("ran", std::vector<int>()); });
  balanced().map_sync([](int n) { rv::this_engine::vars().get<std::vector<int>>("ran").push_back(n); }, std::views::iota(0, 3000));
  std::vector<int> all;
  for (const auto& some : everyone().pull_sync<std::vector<int>>("ran")) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  std::vector<int> wanted(3000);
  std::iota(wanted.begin(), wanted.end(), 0);
  CHECK(all == wanted);
}

TEST_CASE("tasks that last are spread over all engines") {
  const int q = engines();
  const auto ran = balanced().map_sync(
      [](int) {
        std::this_thread::sleep_for(20ms);
        return rv::this_engine::id();
      },
      std::vector<int>(static_cast<std::size_t>(3 * q)));
  CHECK(std::set<int>(ran.begin(), ran.end()).size() == static_cast<std::size_t>(q));
}

TEST_CASE("a load-balanced view of some engines uses only those") {
  const int last = engines() - 1;
  CHECK(client().load_balanced_view(std::vector{-1}).map_sync(where, std::vector<int>(20)) == std::vector<int>(20, last));
  CHECK(client().load_balanced_view(rv::slice(1)).apply_sync(where, 0) == 0);
  if (engines() < 3) return;
  const auto view = client().load_balanced_view(std::vector{2, 0});
  CHECK(view.targets() == std::vector{2, 0});
  for (const int id : view.map_sync(where, std::vector<int>(300))) CHECK((id == 0 || id == 2));
}

TEST_CASE("short tasks do not wait behind long ones on another engine") {
  if (engines() < 2) return;
  const test::Gate gate;
  const auto pass = [](const std::string& path) { test::Gate::pass(path); };
  const auto held = client()[0].apply(pass, gate.path());
  const auto ran = balanced().map_sync(where, std::vector<int>(50));
  CHECK_FALSE(held.ready());
  CHECK(std::count(ran.begin(), ran.end(), 0) == 0);
}

namespace {

// What engines have that have anything, the most first.
std::vector<std::uint64_t> in_hand() {
  client().spin();
  std::vector<std::uint64_t> counts;
  for (const auto& engine : client().queue_status().engines) {
    if (engine.handed_out != 0) counts.push_back(engine.handed_out);
  }
  std::sort(counts.begin(), counts.end(), std::greater<>());
  return counts;
}

}  // namespace

TEST_CASE("chunksize hands out balanced blocks") {
  const auto pass = [](const std::string& path, int) {
    test::Gate::pass(path);
    return rv::this_engine::id();
  };
  const std::pair<std::pair<int, int>, std::vector<std::uint64_t>> cases[] = {{{10, 3}, {3, 3, 2, 2}}, {{7, 2}, {2, 2, 2, 1}},
                                                                              {{9, 3}, {3, 3, 3}},     {{12, 4}, {4, 4, 4}},
                                                                              {{5, 100}, {5}},         {{100, 30}, {25, 25, 25, 25}}};
  for (const auto& [how, blocks] : cases) {
    const auto& [items, chunksize] = how;
    INFO(items << " items by " << chunksize);
    test::Gate gate;
    const auto result = balanced()
                            .with({.chunksize = chunksize, .hwm = 1})
                            .map(pass, std::vector(static_cast<std::size_t>(items), gate.path()), std::views::iota(0, items));
    // With nothing ahead of need, and while nothing can end, what an engine has is one block, of those that come first.
    const std::vector<std::uint64_t> handed_out = in_hand();
    const auto count = std::min(blocks.size(), static_cast<std::size_t>(engines()));
    CHECK(handed_out == std::vector(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(count)));
    gate.open();
    const std::vector<int> ran = result.get(test::limit);
    std::size_t at = 0;
    for (const std::uint64_t size : blocks) {
      for (std::size_t i = 1; i < size; ++i) CHECK(ran[at + i] == ran[at]);
      at += size;
    }
  }
}

TEST_CASE("until it is known how long they take chunks are handed out one by one") {
  const auto pass = [](const std::string& path) { test::Gate::pass(path); };
  test::Gate gate;
  const auto result = balanced().with({.chunksize = 4}).map(pass, std::vector(40, gate.path()));
  CHECK(in_hand() == std::vector<std::uint64_t>(std::min<std::size_t>(10, client().size()), 4));
  gate.open();
  result.get(test::limit);
}

TEST_CASE("a chunksize of zero or less is a usage error") {
  for (const int chunksize : {0, -1, -1000}) {
    const auto view = balanced().with({.chunksize = chunksize});
    const auto error = test::thrown<rv::UsageError>([&] { view.map(where, std::vector{1}); });
    CHECK(test::contains(error.what(), "chunksize"));
    CHECK(test::contains(error.what(), std::to_string(chunksize)));
    CHECK_THROWS_AS(view.map_sync(where, std::vector<int>()), rv::UsageError);
  }
}

TEST_CASE("tasks start in the order of their submission") {
  const int only = engines() - 1;
  const auto view = client().load_balanced_view(std::vector{only});
  client()[only].apply_sync([] { rv::this_engine::vars().set("order", std::vector<int>()); });
  const auto note = [](int n) { rv::this_engine::vars().get<std::vector<int>>("order").push_back(n); };
  std::vector<rv::AsyncResult<void>> results;
  for (int n = 0; n < 100; n += 2) results.push_back(view.map(note, std::vector{n, n + 1}));
  for (const auto& result : results) result.get(test::limit);
  std::vector<int> wanted(100);
  std::iota(wanted.begin(), wanted.end(), 0);
  CHECK(client()[only]["order"].get<std::vector<int>>() == wanted);
}

TEST_CASE("many single tasks") {
  std::vector<rv::AsyncResult<int>> results;
  for (int n = 0; n < 2000; ++n) results.push_back(balanced().apply([](int m) { return m + 1; }, n));
  int sum = 0;
  for (const auto& result : results) sum += result.get(test::limit);
  CHECK(sum == 2000 * 2001 / 2);
}

TEST_CASE("maps of several views at the same time") {
  const auto slow = balanced().map(
      [](int n) {
        std::this_thread::sleep_for(1ms);
        return n;
      },
      std::views::iota(0, 50));
  const auto direct = everyone().map([](int n) { return 2 * n; }, std::views::iota(0, 50));
  const auto other = balanced().map([](int n) { return 3 * n; }, std::views::iota(0, 50));
  const auto some = client().load_balanced_view(std::vector{0}).map([](int n) { return 4 * n; }, std::views::iota(0, 50));
  for (int n = 0; n < 50; ++n) {
    const auto i = static_cast<std::size_t>(n);
    CHECK(some.get(test::limit)[i] == 4 * n);
    CHECK(other.get(test::limit)[i] == 3 * n);
    CHECK(direct.get(test::limit)[i] == 2 * n);
    CHECK(slow.get(test::limit)[i] == n);
  }
}
