// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <ranges>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/mpi/communicator.hpp>

using test::balanced;
using test::client;
using test::engines;

namespace {

int square(int n) { return n * n; }

int negative_fails(int n) {
  if (n < 0) throw std::runtime_error("negative: " + std::to_string(n));
  return n;
}

int pass_if(const std::string& path, int n) {
  if (!path.empty()) test::Gate::pass(path);
  return n;
}

int until_stopped(int) {
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (!rv::this_task::stop_requested()) {
    if (std::chrono::steady_clock::now() > end) return 0;
    std::this_thread::sleep_for(1ms);
  }
  return 1;
}

// Counts in `read` what was read of it.
auto counted(int& read, int count) {
  return std::views::iota(0, count) | std::views::transform([&read](int n) {
           ++read;
           return n;
         });
}

using OfInts = rv::ImapRange<int, true>;
static_assert(std::ranges::input_range<OfInts> && std::ranges::view<OfInts>);
static_assert(std::movable<OfInts> && !std::copyable<OfInts>);
static_assert(std::input_iterator<OfInts::iterator> && std::sentinel_for<std::default_sentinel_t, OfInts::iterator>);
static_assert(std::ranges::input_range<rv::ImapRange<std::string, false>>);

}  // namespace

TEST_CASE("imap gives results in order") {
  int wanted = 0;
  for (const int n : balanced().imap(square, std::views::iota(0, 200))) {
    CHECK(n == wanted * wanted);
    ++wanted;
  }
  CHECK(wanted == 200);
  wanted = 0;
  for (const int n : balanced().imap(square, std::views::iota(0, 50), 3)) {
    CHECK(n == wanted * wanted);
    ++wanted;
  }
  CHECK(wanted == 50);
  for (const int n : balanced().imap(square, std::vector<int>())) CHECK(n == -1);  // there is none
}

TEST_CASE("imap over several ranges, over what can be read once, and with a limit behind them") {
  std::istringstream words("1 2 3 4 5");
  std::vector<std::string> joined;
  const auto join = [](int n, const std::string& text, bool up) { return (up ? "+" : "-") + std::to_string(n) + text; };
  const std::vector<std::string> letters{"a", "b", "c"};
  for (std::string& text : balanced().imap(join, std::ranges::istream_view<int>(words), letters, std::vector{true, false, true}, 2U))
    joined.push_back(std::move(text));
  CHECK(joined == std::vector<std::string>{"+1a", "-2b", "+3c"});
}

TEST_CASE("imap over an endless range keeps to its limit") {
  for (const int most : {1, 4, 50}) {
    int read = 0;
    int taken = 0;
    auto endless = counted(read, std::numeric_limits<int>::max());
    for (const int n : balanced().imap(square, endless, most)) {
      CHECK(n == taken * taken);
      CHECK(read > taken);
      CHECK(read <= taken + most);
      if (++taken == 100) break;
    }
    CHECK(taken == 100);
  }
  CHECK(client().wait(test::limit));
}

TEST_CASE("imap reads nothing before it is asked, and by default a few elements for each engine") {
  const test::Gate gate;
  int read = 0;
  {
    auto results = balanced().imap([](const std::string& path, int n) { return pass_if(path, n); },
                                   std::vector<std::string>(1000, gate.path()), counted(read, 1000));
    CHECK(read == 0);
    const auto at = results.begin();
    CHECK(read == 4 * engines());
    gate.open();
    CHECK(*at == 0);
    CHECK(*at == 0);
    CHECK(at.index() == 0);
  }
  CHECK(client().wait(test::limit));
}

// Whoever reads on first would wait for an element that only comes when its result has been taken.
TEST_CASE("a result that is there goes before the reading of another element") {
  int taken = 0;
  bool early = false;
  const auto last = std::chrono::steady_clock::now() + test::limit;
  auto slow = std::views::iota(0, 40) | std::views::transform([&](int n) {
                // As long as it takes for the results of what was read by now to be there.
                const auto before = balanced().apply([] {});
                before.wait(test::limit);
                client().wait(test::limit);
                early = early || n > taken + 1 || std::chrono::steady_clock::now() > last;
                return n;
              });
  for (const int n : balanced().imap(square, slow, 10)) {
    CHECK(n == taken * taken);
    ++taken;
  }
  CHECK(taken == 40);
  CHECK_FALSE(early);
}

TEST_CASE("what the input of imap throws comes as itself, after the results of what was read before") {
  struct Broken {
    int at;
  };
  auto input = std::views::iota(0) | std::views::transform([](int n) {
                 if (n == 7) throw Broken{n};
                 return n;
               });
  auto results = balanced().imap(square, input, 4);
  int good = 0;
  auto at = results.begin();
  for (; good < 7; ++at) {
    REQUIRE(at != results.end());
    CHECK(*at == good * good);
    ++good;
  }
  REQUIRE(at != results.end());
  for (int again = 0; again < 2; ++again) {
    try {
      *at;
      FAIL("nothing was thrown");
    } catch (const Broken& broken) {
      CHECK(broken.at == 7);
    }
  }
  ++at;
  CHECK(at == results.end());
  CHECK_THROWS_AS(*at, rv::UsageError);

  // In a loop, and unordered.
  int seen = 0;
  try {
    for (const auto& [index, value] : balanced().imap_unordered(square, input, 4)) {
      CHECK(value == static_cast<int>(index * index));
      ++seen;
    }
    FAIL("nothing was thrown");
  } catch (const Broken&) {
    CHECK(seen == 7);
  }
}

TEST_CASE("a failed task of imap throws at its place, and the iteration can go on past it") {
  test::Stderr captured;
  const std::vector<int> input{1, -2, 3, -4, -5, 6};
  std::vector<int> good;
  std::vector<std::size_t> bad;
  auto results = balanced().imap(negative_fails, input, 3);
  for (auto at = results.begin(); at != results.end(); ++at) {
    try {
      good.push_back(*at);
    } catch (const rv::RemoteError& error) {
      CHECK(error.message() == "negative: " + std::to_string(input[at.index()]));
      CHECK_THROWS_AS(*at, rv::RemoteError);
      bad.push_back(at.index());
    }
  }
  CHECK(good == std::vector{1, 3, 6});
  CHECK(bad == std::vector<std::size_t>{1, 3, 4});

  std::set<int> unordered;
  std::set<std::size_t> bad_unordered;
  auto as_they_come = balanced().imap_unordered(negative_fails, input, 3);
  for (auto at = as_they_come.begin(); at != as_they_come.end(); ++at) {
    try {
      const auto& [index, value] = *at;
      CHECK(index == at.index());
      CHECK(value == input[index]);
      unordered.insert(value);
    } catch (const rv::RemoteError&) {
      bad_unordered.insert(at.index());
    }
  }
  CHECK(unordered == std::set{1, 3, 6});
  CHECK(bad_unordered == std::set<std::size_t>{1, 3, 4});
  CHECK(captured.text().empty());
}

TEST_CASE("imap_unordered gives what ends first, first") {
  const test::Gate gate;
  std::vector<std::string> paths(30);
  if (engines() > 1) paths[0] = gate.path();
  std::vector<std::size_t> order;
  for (const auto& [index, value] : balanced().imap_unordered(pass_if, paths, std::views::iota(0), 5)) {
    CHECK(value == static_cast<int>(index));
    order.push_back(index);
    gate.open();
  }
  CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == 30);
  CHECK((order.front() == 0) == (engines() == 1));
}

TEST_CASE("an imap that is dropped gives up what is outstanding") {
  const auto begun = std::chrono::steady_clock::now();
  {
    auto results = balanced().imap(until_stopped, std::views::iota(0), 20 * engines());
    CHECK(results.begin() != results.end());
  }
  {
    auto results = balanced().imap_unordered(until_stopped, std::views::iota(0), 20);
    CHECK(results.begin() != results.end());
  }
  CHECK(client().wait(test::limit));
  CHECK(std::chrono::steady_clock::now() - begun < test::limit);
  CHECK(test::alive());
}

TEST_CASE("an imap can be moved while it is read") {
  auto results = balanced().imap(square, std::vector{1, 2, 3, 4, 5}, 2);
  auto at = results.begin();
  CHECK(*at == 1);
  auto moved = std::move(results);
  ++at;
  CHECK(*at == 4);
  CHECK(*moved.begin() == 4);
  std::vector<int> rest;
  for (const int n : std::move(moved) | std::views::drop(1) | std::views::transform([](int n) { return -n; })) rest.push_back(n);
  CHECK(rest == std::vector{-9, -16, -25});
}

TEST_CASE("imap borrows an lvalue and owns an rvalue, and values may be moved out") {
  std::vector<std::unique_ptr<int>> owned;
  for (int n = 0; n < 10; ++n) owned.push_back(std::make_unique<int>(n));
  std::vector<std::unique_ptr<int>> back;
  for (auto& value : balanced().imap([](std::unique_ptr<int> n) { return n; }, std::move(owned), 4)) back.push_back(std::move(value));
  REQUIRE(back.size() == 10);
  for (int n = 0; n < 10; ++n) CHECK(*back[static_cast<std::size_t>(n)] == n);

  const std::vector<std::vector<double>> big(6, std::vector<double>(100'000, 0.5));
  const auto sum = [](const std::vector<double>& v) {
    double total = 0;
    for (const double x : v) total += x;
    return std::vector<double>(10'000, total);
  };
  int count = 0;
  for (const auto& v : balanced().imap(sum, big, 2)) count += v.back() == 50'000 ? 1 : 0;
  CHECK(count == 6);
}

TEST_CASE("imap of tasks without results, of bools, and of callables with state") {
  int count = 0;
  for (std::monostate& nothing : balanced().imap([](int) {}, std::views::iota(0, 5), 2)) {
    static_cast<void>(nothing);
    ++count;
  }
  CHECK(count == 5);
  std::vector<bool> even;
  for (const bool is : balanced().imap([](int n) { return n % 2 == 0; }, std::views::iota(0, 4))) even.push_back(is);
  CHECK(even == std::vector{true, false, true, false});
  int by = 3;
  std::vector<int> scaled;
  for (const int n : balanced().imap(rv::by_value([by](int n) { return n * by; }), std::vector{1, 2, 3})) scaled.push_back(n);
  CHECK(scaled == std::vector{3, 6, 9});
}

TEST_CASE("imap on a view of some engines, and on teams") {
  const int last = engines() - 1;
  for (const int id :
       client().load_balanced_view(std::vector{last}).imap([](int) { return rv::this_engine::id(); }, std::views::iota(0, 9)))
    CHECK(id == last);
  const int ranks = std::min(2, engines());
  int wanted = 0;
  for (const auto& [n, size] : client().team_view(ranks).imap(
           [](const boost::mpi::communicator&comm, int n) { return std::pair(n, comm.size()); }, std::views::iota(0, 20))) {
    CHECK(n == wanted++);
    CHECK(size == ranks);
  }
  CHECK(wanted == 20);
}

TEST_CASE("what is wrong with an imap is said where it is made") {
  CHECK_THROWS_AS(balanced().imap(square, std::vector{1}, 0), rv::UsageError);
  CHECK_THROWS_AS(balanced().imap(square, std::vector{1}, -3), rv::UsageError);
  CHECK_THROWS_AS(balanced().imap_unordered(square, std::vector{1}, 0U), rv::UsageError);
  CHECK_THROWS_AS(balanced().imap(static_cast<int (*)(int)>(nullptr), std::vector{1}), rv::UsageError);
  CHECK_THROWS_AS(client().load_balanced_view(std::vector<int>()).imap(square, std::vector{1}), rv::UsageError);
}

TEST_CASE("imap on direct views sends the elements to the engines in turn") {
  const int q = engines();
  const auto where = [](int n) { return std::pair(n, rv::this_engine::id()); };
  int taken = 0;
  for (const auto& [n, id] : test::everyone().imap(where, std::views::iota(0), 5)) {
    CHECK(n == taken);
    CHECK(id == taken % q);
    if (++taken == 40) break;
  }
  CHECK(taken == 40);
  taken = 0;
  for (const auto& [n, id] : client()[-1].imap(where, std::views::iota(0, 30))) {
    CHECK(n == taken++);
    CHECK(id == q - 1);
  }
  CHECK(taken == 30);
  std::set<std::size_t> seen;
  for (auto& [index, value] : client()[{q - 1}].with({.label = "direct"}).imap_unordered(where, std::views::iota(0, 30), 3)) {
    CHECK(value == std::pair(static_cast<int>(index), q - 1));
    seen.insert(index);
  }
  CHECK(seen.size() == 30);
  CHECK(client().wait(test::limit));
}

TEST_CASE("imap on direct views is bounded, throws what fails, and gives up what is outstanding") {
  for (const int most : {1, 7}) {
    int read = 0;
    int taken = 0;
    auto endless = counted(read, std::numeric_limits<int>::max());
    for (const int n : test::everyone().imap(square, endless, most)) {
      CHECK(n == taken * taken);
      CHECK(read <= taken + most);
      if (++taken == 50) break;
    }
    CHECK(taken == 50);
  }
  auto results = test::everyone().imap(negative_fails, std::vector{1, -2, 3});
  auto at = results.begin();
  CHECK(*at == 1);
  ++at;
  CHECK_THROWS_AS(*at, rv::RemoteError);
  ++at;
  CHECK(*at == 3);
  CHECK_THROWS_AS(test::everyone().with({.retries = 1}).imap(square, std::vector{1}), rv::UsageError);
  CHECK_THROWS_AS(test::everyone().imap(square, std::vector{1}, 0), rv::UsageError);
  CHECK(client().wait(test::limit));
}

TEST_CASE("imap_unordered and as_completed yield the same form") {
  const auto sum = [](auto&& range) {
    std::size_t indices = 0;
    int values = 0;
    for (auto& [index, value] : range) {
      indices += index;
      values += value;
    }
    return std::pair(indices, values);
  };
  const auto wanted = std::pair<std::size_t, int>(10, 30);
  CHECK(sum(balanced().imap_unordered(square, std::views::iota(0, 5))) == wanted);
  CHECK(sum(balanced().map(square, std::views::iota(0, 5)).as_completed()) == wanted);
  CHECK(sum(test::everyone().imap_unordered(square, std::views::iota(0, 5))) == wanted);
}
