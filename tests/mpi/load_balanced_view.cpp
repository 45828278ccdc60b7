// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
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

// How many items in a row each engine took at a time, by a counter that every batch of a chunk starts anew; see below.
std::vector<std::size_t> blocks(int items, int chunksize) {
  const std::size_t n = static_cast<std::size_t>(items);
  const std::size_t count = (n + static_cast<std::size_t>(chunksize) - 1) / static_cast<std::size_t>(chunksize);
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < count; ++i) sizes.push_back(n / count + (i < n % count ? 1 : 0));
  return sizes;
}

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

TEST_CASE("chunksize hands out balanced blocks") {
  // Where there is only one attempt per chunk, items of a chunk have run on one engine and one after the other.
  for (const auto& [items, chunksize] : {std::pair(10, 3), std::pair(7, 2), std::pair(9, 3), std::pair(5, 100), std::pair(100, 7)}) {
    const auto result = balanced().with({.chunksize = chunksize}).map(where, std::vector<int>(static_cast<std::size_t>(items)));
    const auto& ran = result.get(test::limit);
    std::size_t at = 0;
    for (const std::size_t size : blocks(items, chunksize)) {
      for (std::size_t i = 1; i < size; ++i) CHECK(ran[at + i] == ran[at]);
      at += size;
    }
    CHECK(at == static_cast<std::size_t>(items));
  }
  CHECK(blocks(10, 3) == std::vector<std::size_t>{3, 3, 2, 2});
}

TEST_CASE("chunks are handed out one by one") {
  if (engines() < 3) return;
  // 10 items by 3, over three engines that all wait: no engine can have more than one chunk of those that run.
  const auto ran = balanced()
                       .with({.chunksize = 4})
                       .map_sync(
                           [](int) {
                             std::this_thread::sleep_for(20ms);
                             return rv::this_engine::id();
                           },
                           std::views::iota(0, 12));
  CHECK(std::set<int>(ran.begin(), ran.end()).size() == 3);
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
