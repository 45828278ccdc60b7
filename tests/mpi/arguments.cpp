// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <array>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

namespace {

// Long enough to travel beside its message.
constexpr std::size_t many = 20'000;

std::vector<double> ramp(std::size_t count, double first = 0) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

double sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

struct Point {
  double x = 0;
  int n = 0;
};

// No default constructor, but its bytes can be copied.
struct Meters {
  explicit Meters(double m) : value(m) {}
  double value;
};

// Says itself how it travels.
struct Report {
  std::string title;
  std::vector<double> values;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& title& values;
  }
};

}  // namespace

TEST_CASE("arguments are converted to the parameters") {
  const auto half = [](double x) { return x / 2; };
  CHECK(client()[0].apply_sync(half, 3) == 1.5);
  CHECK(balanced().map_sync(half, std::vector{1, 2, 3}) == std::vector<double>{0.5, 1, 1.5});
  CHECK(client()[0].apply_sync([](std::string text) { return text + "!"; }, "hello") == "hello!");
  CHECK(client()[0].apply_sync([](const std::string& text) { return text.size(); }, "hello") == 5);
  CHECK(client()[0].apply_sync([](std::string_view text) { return text.substr(1, 3); }, "hello") == "ell");
  CHECK(client()[0].apply_sync([](std::string_view text) { return text.size(); }, std::string("four")) == 4);
  CHECK(client()[0].apply_sync([](const auto& text) { return text + "?"; }, "hello") == "hello?");
  CHECK(client()[0].apply_sync([](std::optional<int> n) { return n.value_or(-1); }, 3) == 3);
  const char* const pointer = "pointed at";
  CHECK(client()[0].apply_sync([](std::string text) { return text; }, pointer) == "pointed at");
}

TEST_CASE("a string_view or span result arrives as what owns its data") {
  const auto text = client()[0].apply_sync([](std::string_view all) { return all.substr(2); }, "abcd");
  static_assert(std::is_same_v<decltype(text), const std::string>);
  CHECK(text == "cd");
}

TEST_CASE("span parameters") {
  std::vector<double> values = ramp(100);
  CHECK(client()[0].apply_sync(sum, values) == 4950);
  CHECK(client()[0].apply(sum, ramp(10)).get(test::limit) == 45);
  CHECK(client()[0].apply(sum, ramp(many)).get(test::limit) == sum(ramp(many)));
  // The task's own copy, which it may change.
  CHECK(client()[0].apply_sync([](std::span<double> own) { return own[0] = 7; }, values) == 7);
  CHECK(values[0] == 0);
}

TEST_CASE("kinds of parameters") {
  CHECK(client()[0].apply_sync([](std::vector<int> v) { return v.size(); }, std::vector{1, 2, 3}) == 3);
  CHECK(client()[0].apply_sync([](const std::vector<int>& v) { return v.size(); }, std::vector{1, 2, 3}) == 3);
  CHECK(client()[0].apply_sync([](std::vector<int>&& v) { return std::vector<int>(std::move(v)); }, std::vector{1, 2}) ==
        std::vector{1, 2});
  const std::vector<int> lvalue = {4, 5};
  CHECK(client()[0].apply_sync([](std::vector<int> v) { return v; }, lvalue) == lvalue);
}

TEST_CASE("values of all lanes go there and back") {
  const auto echo = [](const auto& value) { return value; };
  const rv::EngineView engine = client()[-1];
  CHECK(engine.apply_sync(echo, Point{1.5, 2}).n == 2);
  CHECK(engine.apply_sync(echo, Meters(3)).value == 3);
  CHECK(engine.apply_sync(echo, std::vector<bool>{true, false, true}) == std::vector<bool>{true, false, true});
  CHECK(engine.apply_sync(echo, std::array{1, 2, 3}) == std::array{1, 2, 3});
  CHECK(engine.apply_sync(echo, std::make_tuple(1, std::string("two"), 3.0)) == std::make_tuple(1, std::string("two"), 3.0));
  CHECK(engine.apply_sync(echo, std::pair<int, std::string>(1, "one")).second == "one");
  const std::map<std::string, std::vector<int>> map = {{"a", {1}}, {"b", {}}};
  CHECK(engine.apply_sync(echo, map) == map);
  CHECK(engine.apply_sync(echo, std::optional<std::string>()) == std::nullopt);
  CHECK(engine.apply_sync(echo, std::variant<int, std::string>("text")).index() == 1);
  const std::vector<std::string> strings = {"", "one", std::string(50'000, 'x')};
  CHECK(engine.apply_sync(echo, strings) == strings);
  const Report report = engine.apply_sync(echo, Report{"title", ramp(many)});
  CHECK(report.title == "title");
  CHECK(report.values == ramp(many));
}

TEST_CASE("types without a default constructor as results of several tasks") {
  const auto meters = balanced().map_sync([](int n) { return Meters(n); }, std::vector{1, 2, 3});
  REQUIRE(meters.size() == 3);
  CHECK(meters[2].value == 3);
  CHECK(everyone().apply_sync([] { return Meters(rv::this_engine::id()); }).back().value == test::engines() - 1);
}

TEST_CASE("move-only arguments") {
  const auto value = [](std::unique_ptr<int> n) { return n ? *n : -1; };
  CHECK(client()[0].apply_sync(value, std::make_unique<int>(3)) == 3);
  CHECK(client()[0].apply(value, std::make_unique<int>(4)).get(test::limit) == 4);
  CHECK(balanced().apply(value, std::unique_ptr<int>()).get(test::limit) == -1);
  auto kept = std::make_unique<int>(5);
  // Who waits lends, so that the caller still has it.
  CHECK(everyone().apply_sync([](const std::unique_ptr<int>& n) { return *n; }, kept) == std::vector<int>(client().size(), 5));
  REQUIRE(kept != nullptr);
  CHECK(client()[0].apply([](const std::unique_ptr<int>& n) { return *n; }, rv::borrow(kept)).get(test::limit) == 5);

  std::vector<std::unique_ptr<int>> numbers;
  for (int i = 0; i < 20; ++i) numbers.push_back(std::make_unique<int>(i));
  std::vector<int> wanted(20);
  std::iota(wanted.begin(), wanted.end(), 0);
  CHECK(balanced().map_sync(value, numbers) == wanted);
  CHECK(everyone().map(value, std::move(numbers)).get(test::limit) == wanted);
}

TEST_CASE("move-only arguments too long for a message") {
  using Long = std::unique_ptr<std::vector<double>>;
  const auto total = [](const Long& values) { return sum(*values); };
  auto values = std::make_unique<std::vector<double>>(ramp(many));
  const double wanted = sum(*values);
  CHECK(client()[0].apply_sync(total, values) == wanted);
  CHECK(client()[0].apply(total, rv::borrow(values)).get(test::limit) == wanted);
  CHECK_THROWS_AS(client()[0].apply(total, values), rv::UsageError);
  CHECK_THROWS_AS(everyone().apply(total, values), rv::UsageError);
  CHECK(test::alive());
  CHECK(everyone().apply(total, std::move(values)).get(test::limit) == std::vector<double>(client().size(), wanted));
}

TEST_CASE("move-only results") {
  const auto make = [](int n) { return std::make_unique<std::string>(std::to_string(n)); };
  CHECK(*client()[0].apply_sync(make, 1) == "1");
  const std::vector<std::unique_ptr<std::string>> all = balanced().map_sync(make, std::vector{1, 2, 3});
  REQUIRE(all.size() == 3);
  CHECK(*all[2] == "3");
  auto result = everyone().map(make, std::vector{7, 8});
  REQUIRE(result.wait(test::limit));
  CHECK(*result.get()[1] == "8");
  const auto taken = std::move(result).get();
  CHECK(*taken[0] == "7");
  // The end of a handle: the value is moved out.
  const std::unique_ptr<std::string> one = client()[0].apply(make, 9).get();
  CHECK(*one == "9");
}

TEST_CASE("long arguments and results travel beside their messages") {
  const std::vector<double> values = ramp(many);
  const auto reversed = [](std::vector<double> v) { return std::vector<double>(v.rbegin(), v.rend()); };
  const std::vector<double> wanted(values.rbegin(), values.rend());

  CHECK(client()[0].apply_sync(reversed, values) == wanted);
  CHECK(client()[0].apply_sync(reversed, ramp(many)) == wanted);
  CHECK(client()[0].apply(reversed, values).get(test::limit) == wanted);
  CHECK(client()[0].apply(reversed, ramp(many)).get(test::limit) == wanted);
  CHECK(client()[0].apply(reversed, rv::borrow(values)).get(test::limit) == wanted);
  CHECK(balanced().apply(reversed, values).get(test::limit) == wanted);
  for (const auto& each : everyone().apply_sync(reversed, values)) CHECK(each == wanted);
  for (const auto& each : everyone().apply(reversed, ramp(many)).get(test::limit)) CHECK(each == wanted);
  for (const auto& each : everyone().apply(reversed, rv::borrow(values)).get(test::limit)) CHECK(each == wanted);
}

TEST_CASE("sizes around the limit beyond which data travels beside its message") {
  const auto echo = [](const std::vector<char>& v) { return v; };
  for (const std::size_t size : {0UL, 1UL, 3900UL, 4000UL, 4100UL, 32UL * 1024 - 1, 32UL * 1024, 32UL * 1024 + 1, 1UL << 20U}) {
    std::vector<char> values(size);
    for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<char>(i * 7);
    CHECK(client()[0].apply_sync(echo, values) == values);
    CHECK(everyone().apply(echo, values).get(test::limit) == std::vector(client().size(), values));
  }
}

TEST_CASE("several long arguments among short ones") {
  const auto f = [](int a, std::vector<double> x, const std::string& s, std::vector<double> y, double b) {
    std::vector<double> both = {a + b, static_cast<double>(s.size())};
    both.insert(both.end(), x.begin(), x.end());
    both.insert(both.end(), y.begin(), y.end());
    return std::make_pair(both, s);
  };
  const std::string text(40'000, 't');
  std::vector<double> wanted = {3.5, 40'000};
  for (const double v : ramp(many)) wanted.push_back(v);
  for (const double v : ramp(many + 1, 5)) wanted.push_back(v);
  const auto [both, s] = client()[0].apply(f, 1, ramp(many), text, ramp(many + 1, 5), 2.5).get(test::limit);
  CHECK(both == wanted);
  CHECK(s == text);
}

TEST_CASE("a lvalue argument may change as soon as an asynchronous call has returned, an rvalue is moved in") {
  const test::Gate gate;
  const auto first = [](const std::string& path, const std::vector<double>& v) {
    test::Gate::pass(path);
    return v[0];
  };
  // One waits at the gate, so that the other's argument is still on rank 0.
  const auto blocker = client()[0].apply(first, gate.path(), ramp(many));
  std::vector<double> values = ramp(many, 1);
  const auto copied = client()[0].apply(first, gate.path(), values);
  values.assign(many, -1);
  std::vector<double> moved = ramp(many, 2);
  const auto taken = client()[0].apply(first, gate.path(), std::move(moved));
  CHECK(moved.empty());  // NOLINT(bugprone-use-after-move): that is what is asked
  gate.open();
  CHECK(blocker.get(test::limit) == 0);
  CHECK(copied.get(test::limit) == 1);
  CHECK(taken.get(test::limit) == 2);
}

TEST_CASE("long elements of ranges, borrowed, copied and moved") {
  std::vector<std::vector<double>> rows;
  std::vector<double> wanted;
  for (int i = 0; i < 10; ++i) {
    rows.push_back(ramp(many, i));
    wanted.push_back(sum(rows.back()));
  }
  const auto total = [](const std::vector<double>& row) { return sum(row); };
  CHECK(balanced().map_sync(total, rows) == wanted);
  CHECK(everyone().map_sync(total, rows) == wanted);
  CHECK(balanced().map(total, rv::borrow(rows)).get(test::limit) == wanted);
  CHECK(balanced().map(total, rows).get(test::limit) == wanted);
  CHECK(balanced().with({.chunksize = 3}).map(total, rows).get(test::limit) == wanted);
  CHECK(rows[9].size() == many);
  CHECK(everyone().map(total, std::move(rows)).get(test::limit) == wanted);
}

TEST_CASE("long results of many tasks") {
  const auto make = [](int n) { return std::vector<int>(10'000, n); };
  std::vector<std::vector<int>> wanted;
  for (int n = 0; n < 50; ++n) wanted.emplace_back(10'000, n);
  CHECK(balanced().map_sync(make, std::views::iota(0, 50)) == wanted);
  CHECK(everyone().map(make, std::views::iota(0, 50)).get(test::limit) == wanted);
}
