// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// What real codes send: every type of the list goes as argument, result, element of a map, variable, and scattered.
#include "fixture.hpp"

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>

using test::client;
using test::engines;
using test::everyone;

namespace {

struct Particle {
  double position[3] = {};
  double mass = 0;
  std::int64_t id = 0;
  friend bool operator==(const Particle&, const Particle&) = default;
};

struct Species {
  std::string name;
  std::vector<Particle> particles;
  std::optional<double> temperature;
  friend bool operator==(const Species&, const Species&) = default;
};

enum class Boundary : std::uint8_t { open, closed, periodic };

struct Grid {
  std::array<int, 3> cells = {};
  std::map<Boundary, std::vector<std::string>> sides;
  friend bool operator==(const Grid&, const Grid&) = default;
};

struct Case {
  Grid grid;
  std::vector<Species> species;
  std::filesystem::path output;
  std::chrono::duration<double> limit{};
  std::string notes[2];
  std::variant<double, std::string> step;
  friend bool operator==(const Case&, const Case&) = default;
};

struct Option {
  std::string key;
  std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>> value;
  friend bool operator==(const Option&, const Option&) = default;
};

struct Cell {
  int level = 0;
  std::vector<Cell> children;
  friend bool operator==(const Cell&, const Cell&) = default;
};

bool descending(int a, int b) { return a > b; }

Species water() { return {"water", {{{1, 2, 3}, 18, 1}, {{4, 5, 6}, 18, 2}}, 293.15}; }
Grid box() { return {{4, 5, 6}, {{Boundary::open, {"left"}}, {Boundary::periodic, {"top", "bottom"}}}}; }
Case lake() { return {box(), {water(), {}}, "out/lake.h5", std::chrono::minutes(5), {"", "calm"}, "adaptive"}; }

// An equality that looks behind pointers.
template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, std::shared_ptr<Species>>) {
    return (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b);
  } else if constexpr (std::is_same_v<T, std::valarray<double>>) {
    return a.size() == b.size() && (a == b).min();
  } else {
    return a == b;
  }
}

template <class T>
std::map<std::string, T> name_it(const T& value, std::map<std::string, T> named) {
  named.emplace("argument", value);
  return named;
}

template <class T>
bool is_equal(const T& variable, const T& value) {
  return same(variable, value);
}

// Sends a value every way there is.
template <class T>
void go_everywhere(const T& value) {
  const auto named = client()[0].apply(name_it<T>, value, std::map<std::string, T>{{"element", value}}).get(test::limit);
  REQUIRE(named.size() == 2);
  CHECK(same(named.at("argument"), value));
  CHECK(same(named.at("element"), value));

  everyone().push("value", value).get(test::limit);
  CHECK(client()[engines() - 1].apply(is_equal<T>, rv::ref("value"), value).get(test::limit));
  CHECK(same(client()[0].template pull<T>("value").get(test::limit), value));

  const std::vector<T> parts(static_cast<std::size_t>(2 * engines() + 1), value);
  everyone().scatter("parts", parts).get(test::limit);
  const std::vector<T> whole = everyone().template gather<T>("parts").get(test::limit);
  REQUIRE(whole.size() == parts.size());
  for (const T& part : whole) CHECK(same(part, value));
}

// Several cases, so that a failure says roughly where.
template <class... T>
void all_go(const T&... values) {
  (go_everywhere(values), ...);
}

}  // namespace

TEST_CASE("plain structs go everywhere", "[types]") { all_go(Particle{{1, 2, 3}, 4, 5}, water(), box(), lake(), Option{"k", "v"}); }

TEST_CASE("structs in containers go everywhere", "[types]") {
  all_go(std::vector<Species>{water(), {}}, std::map<std::string, std::vector<Particle>>{{"a", {{{1, 2, 3}, 4, 5}}}},
         std::unordered_map<std::string, Grid>{{"box", box()}}, std::optional<Species>(water()), std::make_shared<Species>(water()),
         Cell{1, {{2, {}}, {3, {{4, {}}}}}});
}

TEST_CASE("what numerical codes hold goes everywhere", "[types]") {
  all_go(std::vector<std::vector<double>>{{1, 2}, {}, {3}}, std::vector<std::complex<double>>{{1, 2}, {3, 4}},
         std::valarray<double>{1, 2, 3}, std::array<std::vector<float>, 2>{{{1}, {2, 3}}}, std::bitset<100>("1011"),
         std::chrono::system_clock::time_point(std::chrono::seconds(5)));
}

TEST_CASE("what other codes hold goes everywhere", "[types]") {
  all_go(std::optional<std::filesystem::path>("a/b"), std::wstring(L"gr\u00fc\u00df"),
         std::map<Boundary, std::pair<int, std::string>>{{Boundary::closed, {1, "one"}}},
         std::tuple<std::string, std::vector<int>, bool>("t", {1, 2}, true), std::deque<std::string>{"a", "b"},
         std::forward_list<Option>{{"k", 2.5}}, std::list<std::set<int>>{{1, 2}, {}}, std::pair<const std::string, int>("key", 1));
}

TEST_CASE("long members arrive from wherever they lie", "[types][data]") {
  Species many = water();
  many.particles.resize(20'000, {{7, 8, 9}, 1, 3});
  many.name.assign(100'000, 'w');
  all_go(many, std::map<std::string, Species>{{"many", many}}, std::make_shared<Species>(many));
}

TEST_CASE("a container brings its order along", "[types]") {
  const std::map<int, std::string, bool (*)(int, int)> map({{1, "one"}, {2, "two"}}, descending);
  const auto first = [](const std::map<int, std::string, bool (*)(int, int)>& given) { return given.begin()->second; };
  CHECK(client()[0].apply(first, map).get(test::limit) == "two");
}

TEST_CASE("an std::map is mapped over and scattered by its elements", "[types]") {
  const std::map<std::string, int> ages{{"ann", 31}, {"bob", 27}, {"eve", 44}};
  using Entry = std::pair<const std::string, int>;
  const auto older = test::balanced().map([](const Entry& entry) { return Entry(entry.first, entry.second + 1); }, ages).get(test::limit);
  REQUIRE(older.size() == 3);
  CHECK(older[2] == Entry("eve", 45));
  everyone().scatter("ages", ages).get(test::limit);
  const auto back = everyone().gather<Entry>("ages").get(test::limit);
  CHECK(std::map<std::string, int>(back.begin(), back.end()) == ages);
}

TEST_CASE("a variable's name may have any length", "[types][data]") {
  for (const std::size_t size : {std::size_t{40'000}, std::size_t{300'000}}) {
    const std::string name(size, 'n');
    everyone().push(name, 5).get(test::limit);
    CHECK(client()[0].pull<int>(name).get(test::limit) == 5);
    everyone().scatter(name, std::vector<double>(10, 1.0)).get(test::limit);
    CHECK(everyone().reduce_all<double>(name, std::plus<>()).get(test::limit) == 10);
    everyone().scatter(name, std::vector<std::string>(10, "x")).get(test::limit);
    CHECK(everyone().gather<std::string>(name).get(test::limit).size() == 10);
    everyone().erase_sync(name);
  }
}

TEST_CASE("an array that would fill the stack is argument, result and variable", "[types][data]") {
  using Array = std::array<double, 300'000>;
  const auto filled = [](double value) {
    Array array;
    array.fill(value);
    return array;
  };
  const auto result = client()[0].apply(filled, 3.0);
  const auto got = std::make_unique<Array>(result.get(test::limit));
  CHECK(got->back() == 3);
  CHECK(client()[0].apply([](const Array& array) { return array.back(); }, *got).get(test::limit) == 3);
  everyone().push("array", *got).get(test::limit);
  CHECK(client()[0].apply([](const Array& array) { return array.front(); }, rv::ref("array")).get(test::limit) == 3);
}
