// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <numeric>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

// What both kinds of map have in common; what is special to load balancing is in load_balanced_view.cpp.
namespace {

int square(int n) { return n * n; }

// The lengths that a map is refused for.
template <class Map>
std::string lengths_refused(const Map& map) {
  try {
    map();
  } catch (const rv::UsageError& error) {
    const std::string text = error.what();
    const std::string before = "different lengths: ";
    const auto begin = text.find(before);
    if (begin == std::string::npos) return text;
    return text.substr(begin + before.size(), text.find(';') - begin - before.size());
  }
  return "not refused";
}

std::vector<int> squares(int count) {
  std::vector<int> values;
  for (int n = 0; n < count; ++n) values.push_back(n * n);
  return values;
}

std::vector<int> numbers(int count) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

template <class Action>
void on_both(Action action) {
  SECTION("in blocks") { action(everyone()); }
  SECTION("load-balanced") { action(balanced()); }
  SECTION("load-balanced in chunks") { action(balanced().with({.chunksize = 3})); }
}

// Stops the reading of a range in its middle.
struct RangeError {
  int at;
};

}  // namespace

TEST_CASE("map gives its results in the order of the items") {
  on_both([](const auto& view) {
    for (const int count : {1, 2, 3, 7, 8, 9, 100, 5000}) {
      CHECK(view.map_sync(square, numbers(count)) == squares(count));
      CHECK(view.map(square, numbers(count)).get(test::limit) == squares(count));
      CHECK(view.map_async(square, numbers(count)).size() == static_cast<std::size_t>(count));
    }
  });
}

TEST_CASE("an empty range gives an empty result that is ready at once") {
  on_both([](const auto& view) {
    CHECK(view.map_sync(square, std::vector<int>()).empty());
    const auto result = view.map(square, std::vector<int>());
    CHECK(result.ready());
    CHECK(result.successful());
    CHECK(result.size() == 0);
    CHECK(result.progress() == 0);
    CHECK(result.get(0s).empty());
    CHECK(result.begin() == result.end());
    CHECK(result.results().empty());
    for ([[maybe_unused]] const auto& item : result.as_completed()) FAIL("there is none");
    // Its length is not known beforehand.
    std::istringstream none;
    CHECK(view.map(square, std::views::istream<int>(none)).ready());
    view.map_sync([](int) {}, std::vector<int>());
    CHECK(view.map([](int) {}, std::vector<int>()).ready());
  });
}

TEST_CASE("map takes any input range") {
  on_both([](const auto& view) {
    const std::vector<int> wanted = squares(40);
    CHECK(view.map_sync(square, std::views::iota(0, 40)) == wanted);
    CHECK(view.map(square, std::views::iota(0) | std::views::take(40)).get(test::limit) == wanted);
    const auto shifted = std::views::iota(1, 41) | std::views::transform([](int n) { return n - 1; });
    CHECK(view.map_sync(square, shifted) == wanted);
    CHECK(view.map(square, shifted).get(test::limit) == wanted);
    const std::vector<int> vector = numbers(40);
    CHECK(view.map(square, vector).get(test::limit) == wanted);
    CHECK(view.map(square, std::span(vector)).get(test::limit) == wanted);
    CHECK(view.map(square, rv::borrow(vector)).get(test::limit) == wanted);
    CHECK(view.map(square, std::list<int>(vector.begin(), vector.end())).get(test::limit) == wanted);
    CHECK(view.map(square, std::deque<int>(vector.begin(), vector.end())).get(test::limit) == wanted);
    int array[] = {0, 1, 2};
    CHECK(view.map_sync(square, array) == squares(3));
    const auto odd = [](int n) { return n % 2 == 1; };
    // Filtered: neither its size nor a const begin().
    CHECK(view.map_sync(square, vector | std::views::filter(odd)).size() == 20);
    CHECK(view.map(square, vector | std::views::filter(odd)).get(test::limit).back() == 39 * 39);
    CHECK(view.map_sync(square, std::views::reverse(vector)).front() == 39 * 39);
    CHECK(view.map_sync(square, std::views::single(5)) == std::vector{25});
  });
}

TEST_CASE("map takes elements that are written out") {
  const auto half = [](int n) { return n / 2.0; };
  CHECK(balanced().map_sync(half, {1, 2, 3}) == std::vector{0.5, 1.0, 1.5});
  CHECK(everyone().map_sync(half, {1, 2, 3}) == std::vector{0.5, 1.0, 1.5});
  CHECK(balanced().map(half, {1, 2}).get(test::limit) == std::vector{0.5, 1.0});
  CHECK(client()[-1].map_async(half, {1, 2}).get(test::limit) == std::vector{0.5, 1.0});
  CHECK(balanced().map_sync([](bool b) { return !b; }, {true, false}) == std::vector{false, true});
  CHECK(balanced().map_sync([](const std::string& s) { return s.size(); }, {std::string("one"), std::string("three")}) ==
        std::vector<std::size_t>{3, 5});
}

TEST_CASE("map takes a range that can be read only once") {
  on_both([](const auto& view) {
    std::istringstream first("0 1 2 3 4 5 6 7 8 9");
    CHECK(view.map_sync(square, std::views::istream<int>(first)) == squares(10));
    std::istringstream second("0 1 2 3 4 5 6 7 8 9");
    const auto result = view.map(square, std::views::istream<int>(second));
    // The asynchronous form has read all of it by now.
    CHECK(second.eof());
    CHECK(result.get(test::limit) == squares(10));
    std::istringstream words("some words of which each is one item");
    const auto lengths = view.map_sync([](const std::string& word) { return word.size(); }, std::views::istream<std::string>(words));
    CHECK(lengths == std::vector<std::size_t>{4, 5, 2, 5, 4, 2, 3, 4});
  });
}

TEST_CASE("several ranges go in step") {
  on_both([](const auto& view) {
    const auto subtract = [](int a, int b) { return a - b; };
    CHECK(view.map_sync(subtract, std::vector{10, 20}, std::vector{1, 2}) == std::vector{9, 18});
    CHECK(view.map_sync(subtract, std::vector{10, 20, 30}, std::views::iota(1)) == std::vector{9, 18, 27});
    CHECK(view.map(subtract, std::views::iota(1), std::vector{1, 1}).get(test::limit) == std::vector{0, 1});
    CHECK(view.map_sync(subtract, std::vector<int>(), std::views::iota(1)).empty());
    std::istringstream text("5 6 7");
    CHECK(view.map_sync(subtract, std::views::iota(100), std::views::istream<int>(text)) == std::vector{95, 95, 95});
    const auto join = [](const std::string& a, int b, double c) { return a + std::to_string(b) + (c > 0 ? "+" : "-"); };
    CHECK(view.map_sync(join, std::vector<std::string>{"a", "b"}, std::vector{1, 2}, std::vector{0.5, -0.5}) ==
          std::vector<std::string>{"a1+", "b2-"});
  });
}

TEST_CASE("ranges that know their lengths must have the same") {
  on_both([](const auto& view) {
    const auto add = [](int a, int b) { return a + b; };
    CHECK(lengths_refused([&] { view.map_sync(add, std::vector{1, 2, 3}, std::vector{1, 2}); }) == "3, 2");
    CHECK(lengths_refused([&] { view.map(add, std::vector{1, 2, 3}, std::views::iota(0, 2)); }) == "3, 2");
    CHECK(lengths_refused([&] { view.map(add, std::vector<int>(), std::list{1}); }) == "0, 1");
    // Who does not know its length goes with any.
    const std::vector numbers{1, 2, 3, 4};
    CHECK(view.map_sync(add, numbers | std::views::filter([](int n) { return n > 2; }), numbers) == std::vector{4, 6});
    CHECK(view.map_sync(add, std::list{1, 2}, std::vector{1, 2}) == std::vector{2, 4});
  });
  const auto three = [](int a, int b, int c) { return a + b + c; };
  const auto reduce = [&] { balanced().map_reduce_sync(three, std::plus<>(), std::vector{1, 2}, rv::repeat(0), std::vector{1, 2, 3}); };
  CHECK(lengths_refused(reduce) == "2, 3");
  const auto read = [&] { static_cast<void>(balanced().imap(three, std::vector{1, 2}, rv::repeat(0), std::vector{1, 2, 3})); };
  CHECK(lengths_refused(read) == "2, 3");
}

TEST_CASE("rv::repeat gives each call the same value") {
  on_both([](const auto& view) {
    const auto scale = [](double x, double by) { return x * by; };
    CHECK(view.map_sync(scale, std::vector{1.0, 2.0, 3.0}, rv::repeat(0.5)) == std::vector{0.5, 1.0, 1.5});
    CHECK(view.map(scale, rv::repeat(2), std::views::iota(0, 3)).get(test::limit) == std::vector{0.0, 2.0, 4.0});
    CHECK(view.map_sync(scale, std::vector<double>(), rv::repeat(0.5)).empty());
    const auto join = [](std::string_view text, int n) { return std::string(text) + std::to_string(n); };
    CHECK(view.map_sync(join, rv::repeat("n"), std::vector{1, 2}) == std::vector<std::string>{"n1", "n2"});
    CHECK(view.map_sync(join, rv::repeat(std::string("m")), std::vector{1, 2}) == std::vector<std::string>{"m1", "m2"});
    // What is long travels beside the messages, from one copy that outlives the range.
    const auto sum = [](const std::vector<double>& all, int n) { return std::accumulate(all.begin(), all.end(), 0.0) + n; };
    CHECK(view.map(sum, rv::repeat(std::vector<double>(10'000, 1)), std::views::iota(0, 20)).get(test::limit).back() == 10'019);
    CHECK(view.map_sync(sum, rv::repeat(std::vector<double>(10'000, 1)), std::views::iota(0, 20)).size() == 20);
    const std::vector<double> own(10'000, 2);
    CHECK(view.map_sync(sum, rv::repeat(rv::borrow(own)), std::views::iota(0, 2)) == std::vector{20'000.0, 20'001.0});
  });
  everyone()["by"] = 3.0;
  CHECK(balanced().map_sync([](double x, double by) { return x * by; }, std::vector{1.0, 2.0}, rv::repeat(rv::ref("by"))) ==
        std::vector{3.0, 6.0});
  everyone().erase_sync("by");
  const auto multiply = [](int a, int b) { return a * b; };
  CHECK(balanced().map_reduce_sync(multiply, std::plus<>(), std::views::iota(1, 5), rv::repeat(2)) == 20);
  std::vector<int> first;
  for (const int value : balanced().imap(multiply, std::views::iota(0), rv::repeat(5), 4)) {
    if (first.size() == 3) break;
    first.push_back(value);
  }
  CHECK(first == std::vector{0, 5, 10});
}

TEST_CASE("elements of many types") {
  struct Pair {
    int a;
    double b;
  };
  on_both([](const auto& view) {
    const std::vector<bool> flags = {true, false, false, true, true};
    CHECK(view.map_sync([](bool flag) { return flag ? 1 : 0; }, flags) == std::vector{1, 0, 0, 1, 1});
    CHECK(view.map([](bool flag) { return !flag; }, flags).get(test::limit) == std::vector<bool>{false, true, true, false, false});
    CHECK(view.map_sync([](auto flag) { return !flag; }, flags).size() == 5);
    const std::vector<std::string> words = {"", "one", "two words", std::string(5000, 'w')};
    CHECK(view.map_sync([](const std::string& word) { return word + "."; }, words)[2] == "two words.");
    CHECK(view.map([](std::string_view word) { return word.size(); }, words).get(test::limit).back() == 5000);
    const auto pairs = view.map_sync([](Pair p) { return Pair{2 * p.a, 2 * p.b}; }, std::vector<Pair>{{1, 1.5}, {2, 2.5}});
    CHECK(pairs[1].a == 4);
    CHECK(pairs[1].b == 5);
  });
}

TEST_CASE("results that are booleans") {
  on_both([](const auto& view) {
    std::vector<bool> wanted;
    for (int n = 0; n < 70; ++n) wanted.push_back(n % 3 == 0);
    const auto result = view.map([](int n) { return n % 3 == 0; }, std::views::iota(0, 70));
    std::vector<bool> seen;
    for (const bool value : result) seen.push_back(value);
    CHECK(seen == wanted);
    CHECK(result.get(test::limit) == wanted);
  });
}

TEST_CASE("map without results") {
  on_both([](const auto& view) {
    everyone().apply_sync([] { rv::this_engine::vars().set("count", 0); });
    const auto count = [](int) { ++rv::this_engine::vars().template get<int>("count"); };
    view.map_sync(count, std::views::iota(0, 100));
    const auto result = view.map(count, std::views::iota(0, 50));
    result.get(test::limit);
    CHECK(result.size() == 50);
    const auto counts = everyone().template pull_sync<int>("count");
    CHECK(std::accumulate(counts.begin(), counts.end(), 0) == 150);
  });
}

TEST_CASE("a range that throws while it is read") {
  on_both([](const auto& view) {
    const auto failing = [](int count) {
      return std::views::iota(0, count) | std::views::transform([count](int n) {
               if (n == count - 1) throw RangeError{n};
               return n;
             });
    };
    // At its first item, in its middle, and after blocks of it have been handed over.
    for (const int count : {1, 10, 5000}) {
      for (int round = 0; round < 2; ++round) {
        int at = -1;
        try {
          if (round == 0) {
            view.map(square, failing(count));
          } else {
            view.map_sync(square, failing(count));
          }
        } catch (const RangeError& error) {
          at = error.at;
        }
        CHECK(at == count - 1);
      }
    }
    CHECK(client().wait(test::limit));
    CHECK(test::alive());
    CHECK(view.map_sync(square, numbers(100)) == squares(100));
  });
}

TEST_CASE("a direct map gives each engine one contiguous block") {
  const int q = test::engines();
  for (const int count : {1, q, q + 1, 3 * q - 1, 100}) {
    const auto ran = everyone().map_sync([](int) { return rv::this_engine::id(); }, std::views::iota(0, count));
    std::vector<int> wanted;
    for (int id = 0; id < q; ++id) wanted.insert(wanted.end(), static_cast<std::size_t>(count / q + (id < count % q ? 1 : 0)), id);
    CHECK(ran == wanted);
  }
}

TEST_CASE("a direct map follows the order of its targets") {
  if (test::engines() < 2) return;
  const auto where = [](int) { return rv::this_engine::id(); };
  CHECK(client()[{1, 0}].map_sync(where, std::vector{1, 2, 3}) == std::vector{1, 1, 0});
  CHECK(client()[{1, 0}].map_sync(where, std::vector{1}) == std::vector{1});
}

TEST_CASE("a map on one engine") {
  const rv::EngineView engine = client()[-1];
  static_assert(std::is_same_v<decltype(engine.map_sync(square, std::vector{1})), std::vector<int>>);
  CHECK(engine.map_sync(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9});
  const auto where = engine.map([](int) { return rv::this_engine::id(); }, std::views::iota(0, 10)).get(test::limit);
  CHECK(where == std::vector<int>(10, test::engines() - 1));
}

TEST_CASE("items of a map fail one by one") {
  on_both([](const auto& view) {
    const auto fail = [](int n) {
      if (n % 3 == 1) throw std::runtime_error("item " + std::to_string(n));
      return 10 * n;
    };
    const auto result = view.map(fail, numbers(8));
    REQUIRE(result.wait(test::limit));
    CHECK_FALSE(result.successful());
    const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
    REQUIRE(error.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto& failure = error.failures()[i];
      CHECK(failure.index == 3 * i + 1);
      const auto remote = test::held<rv::RemoteError>(failure.error);
      CHECK(remote.message() == "item " + std::to_string(3 * i + 1));
      CHECK(remote.task().item == 3 * i + 1);
      CHECK(test::contains(error.what(), remote.message()));
    }
    CHECK_THROWS_AS(view.map_sync(fail, numbers(8)), rv::CompositeError);

    const auto outcomes = result.results();
    REQUIRE(outcomes.size() == 8);
    for (int n = 0; n < 8; ++n) {
      const auto& outcome = outcomes[static_cast<std::size_t>(n)];
      CHECK(outcome.has_value() == (n % 3 != 1));
      CHECK(static_cast<bool>(outcome) == (outcome.error() == nullptr));
      if (outcome) {
        CHECK(*outcome == 10 * n);
      } else {
        CHECK_THROWS_AS(outcome.value(), rv::RemoteError);
      }
    }
    // Again, with the same outcome.
    CHECK_THROWS_AS(result.get(), rv::CompositeError);
  });
}

TEST_CASE("iteration goes on past a failed item") {
  on_both([](const auto& view) {
    const auto result = view.map(
        [](int n) {
          if (n == 0 || n == 3 || n == 5) throw n;
          return n;
        },
        numbers(6));
    std::vector<int> values;
    std::vector<int> failed;
    int place = 0;
    for (auto at = result.begin(); at != result.end(); ++at, ++place) {
      try {
        values.push_back(*at);
      } catch (const rv::RemoteError& error) {
        CHECK(error.type_name() == "int");
        failed.push_back(place);
      }
    }
    CHECK(values == std::vector{1, 2, 4});
    CHECK(failed == std::vector{0, 3, 5});
  });
}

TEST_CASE("many failed items") {
  const auto result = balanced().map(
      [](int n) -> int {
        if (n % 2 == 0) throw std::runtime_error("even");
        return n;
      },
      std::views::iota(0, 2000));
  REQUIRE(result.wait(test::limit));
  const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
  CHECK(error.size() == 1000);
  CHECK(std::string(error.what()).size() < 10'000);
  CHECK(test::contains(error.what(), "1000 of 2000"));
}

TEST_CASE("a map longer than what is read ahead") {
  const auto add = [](int n) { return n + 1; };
  const int count = 200'000;
  const auto values = balanced().map_sync(add, std::views::iota(0, count));
  REQUIRE(values.size() == static_cast<std::size_t>(count));
  bool right = true;
  for (int n = 0; n < count; ++n) right = right && values[static_cast<std::size_t>(n)] == n + 1;
  CHECK(right);
}
