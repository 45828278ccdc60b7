// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>

#include <array>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

using namespace unit;
using rankview::DecodeError;
using rankview::UsageError;
using rankview::detail::attach_bytes;
using rankview::detail::fixed_size;

namespace {

enum class Colour : std::uint16_t { red = 3, green = 500 };

struct Point {
  double x = 0;
  double y = 0;
  int id = 0;

  friend bool operator==(const Point&, const Point&) = default;
};

struct Sealed {
  explicit Sealed(int number) : value(number) {}
  int value;

  friend bool operator==(const Sealed&, const Sealed&) = default;
};

struct Empty {
  friend bool operator==(const Empty&, const Empty&) = default;
};

double half(int number) { return number / 2.0; }
double third(int number) noexcept { return number / 3.0; }

// What every type of every lane has to get right.
template <class T>
void check(const T& value) {
  CHECK(round_trip(value) == value);
  refuse_every_cut(value);
}

std::vector<double> numbers(std::size_t count, double first = 0) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

}  // namespace

TEST_CASE("trivially copyable values travel as their bytes", "[codec]") {
  check(42);
  check(-1.5);
  check(true);
  check('x');
  check(std::numeric_limits<std::uint64_t>::max());
  check(Colour::green);
  check(Point{1.5, -2.5, 7});
  check(std::array<int, 3>{1, 2, 3});
  check(std::optional<int>(5));
  check(Empty());
  STATIC_REQUIRE(fixed_size<Point> == sizeof(Point));
  STATIC_REQUIRE(fixed_size<Colour> == sizeof(Colour));
}

TEST_CASE("a trivially copyable type needs no default constructor", "[codec]") {
  STATIC_REQUIRE(!std::is_default_constructible_v<Sealed>);
  check(Sealed(9));
  check(std::vector<Sealed>{Sealed(1), Sealed(2), Sealed(3)});
  check(std::map<int, Sealed>{{1, Sealed(4)}});
  check(std::pair<Sealed, std::string>(Sealed(1), "one"));
}

TEST_CASE("strings of all characters and lengths", "[codec]") {
  check(std::string());
  check(std::string("hello"));
  check(std::string("nul\0inside", 10));
  check(std::u16string(u"wide"));
  check(std::wstring(L"wider"));
  check(std::string(2000, 'x'));
}

TEST_CASE("vectors travel in bulk where their elements allow it", "[codec]") {
  check(std::vector<int>());
  check(std::vector<double>{1.5, 2.5});
  check(std::vector<Point>{{1, 2, 3}, {4, 5, 6}});
  check(std::vector<std::string>{"", "a", "bc"});
  check(std::vector<std::vector<int>>{{1}, {}, {2, 3}});
  check(std::vector<std::pair<int, double>>{{1, 1.5}, {2, 2.5}});
  check(std::vector<Colour>{Colour::red, Colour::green});
  check(std::vector<Empty>(3));
}

TEST_CASE("vectors of bool", "[codec]") {
  check(std::vector<bool>());
  check(std::vector<bool>{true, false, true, true});
  std::vector<bool> many(1000);
  for (std::size_t i = 0; i < many.size(); i += 3) many[i] = true;
  CHECK(round_trip(many) == many);
  CHECK(round_trip(std::vector<std::vector<bool>>{{true}, {}, {false, true}}) == std::vector<std::vector<bool>>{{true}, {}, {false, true}});
}

TEST_CASE("sequences other than vectors", "[codec]") {
  check(std::deque<int>{1, 2, 3});
  check(std::deque<std::string>{"a", "b"});
  check(std::list<double>{1.5, 2.5});
  check(std::list<std::list<int>>{{1, 2}, {}, {3}});
}

TEST_CASE("sets and maps", "[codec]") {
  check(std::set<int>{3, 1, 2});
  check(std::set<std::string, std::greater<>>{"a", "b"});
  check(std::multiset<int>{1, 1, 2});
  check(std::unordered_set<std::string>{"x", "y", "z"});
  check(std::unordered_multiset<int>{4, 4, 5});
  check(std::map<std::string, int>{{"one", 1}, {"two", 2}});
  check(std::multimap<int, std::string>{{1, "a"}, {1, "b"}});
  check(std::unordered_map<int, std::vector<double>>{{1, {1.5}}, {2, {}}});
  check(std::unordered_multimap<int, int>{{1, 2}, {1, 3}});
  check(std::map<std::string, std::map<int, std::vector<std::string>>>{{"a", {{1, {"x", "y"}}}}, {"b", {}}});
}

TEST_CASE("tuples, pairs and arrays of anything", "[codec]") {
  check(std::pair<int, double>(1, 2.5));
  check(std::pair<std::string, std::vector<int>>("a", {1, 2}));
  check(std::tuple<>());
  check(std::tuple<int, std::string, double>(1, "two", 3.0));
  check(std::array<std::string, 2>{"left", "right"});
  check(std::array<std::vector<int>, 0>{});
  STATIC_REQUIRE(fixed_size<std::pair<int, double>> == sizeof(int) + sizeof(double));
  STATIC_REQUIRE(fixed_size<std::tuple<int, Point, char>> == sizeof(int) + sizeof(Point) + 1);
  STATIC_REQUIRE(fixed_size<std::pair<int, std::string>> == 0);
}

TEST_CASE("the members of a tuple are read in their order", "[codec]") {
  const std::tuple<std::string, std::string, std::string, int> value("first", "second", "third", 4);
  CHECK(round_trip(value) == value);
}

TEST_CASE("optional and variant", "[codec]") {
  check(std::optional<std::string>());
  check(std::optional<std::string>("there"));
  check(std::optional<std::optional<std::string>>(std::optional<std::string>()));
  check(std::variant<int, std::string>(7));
  check(std::variant<int, std::string>("seven"));
  check(std::variant<std::string, std::vector<int>, double>(std::vector<int>{1, 2}));
  check(std::variant<std::monostate, std::string>());
}

TEST_CASE("a variant's index that names no alternative is an error", "[codec]") {
  using Variant = std::variant<int, std::string>;
  Writer out;
  out.value(std::uint32_t{2});
  Reader in(out.bytes.bytes());
  CHECK(contains(message_of<DecodeError>([&] { codec<Variant>::load(in); }), "of 2 alternatives holds number 2"));
}

TEST_CASE("unique_ptr owns what arrives", "[codec]") {
  const auto number = round_trip(std::make_unique<int>(5));
  REQUIRE(number != nullptr);
  CHECK(*number == 5);
  CHECK(round_trip(std::unique_ptr<std::string>()) == nullptr);
  std::vector<std::unique_ptr<std::string>> texts;
  texts.push_back(std::make_unique<std::string>("a"));
  texts.push_back(nullptr);
  const auto loaded = round_trip(texts);
  REQUIRE(loaded.size() == 2);
  CHECK(*loaded[0] == "a");
  CHECK(loaded[1] == nullptr);
  refuse_every_cut(texts);
}

TEST_CASE("function pointers arrive as the same function", "[codec]") {
  CHECK(round_trip(&half) == &half);
  CHECK(round_trip(&third) == &third);
  const std::vector<double (*)(int)> several{&half, &third};
  const auto loaded = round_trip(several);
  REQUIRE(loaded.size() == 2);
  CHECK(loaded[0](3) == 1.5);
  refuse_every_cut(several);
}

TEST_CASE("a reference travels as its name", "[codec]") {
  CHECK(round_trip(rankview::ref("a")).name == "a");
  CHECK(round_trip(rankview::ref<int>("b")).name == "b");
}

TEST_CASE("contiguous data of 32 KiB travels beside the message", "[codec]") {
  const std::size_t bound = attach_bytes / sizeof(double);
  for (const std::size_t count : {bound - 1, bound, bound + 1, 10 * bound}) {
    const auto values = numbers(count);
    Writer out;
    codec<std::vector<double>>::save(out, values);
    CHECK(out.attachments.size() == (count < bound ? 0 : 1));
    if (count >= bound) {
      CHECK(out.attachments[0].data == reinterpret_cast<const std::byte*>(values.data()));
      CHECK(out.bytes.size() == sizeof(std::uint64_t));
    }
    CHECK(round_trip(values) == values);
    refuse_every_cut(std::vector<double>(bound));
  }
  CHECK(round_trip(std::string(100'000, 'x')) == std::string(100'000, 'x'));
}

TEST_CASE("several attachments arrive in their own places", "[codec]") {
  std::map<std::string, std::vector<double>> map{{"large", numbers(9000)}, {"small", numbers(3)}, {"other", numbers(8000, 1e6)}};
  CHECK(round_trip(map) == map);
  const std::tuple<std::vector<double>, std::string, std::vector<int>> tuple(numbers(5000), std::string(50'000, 'y'),
                                                                             std::vector<int>(70'000, 3));
  CHECK(round_trip(tuple) == tuple);
  CHECK(round_trip(std::optional(numbers(6000))) == std::optional(numbers(6000)));
  std::vector<std::vector<double>> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(numbers(4096, i));
  CHECK(round_trip(rows) == rows);
  survive_corruption(map);
  survive_corruption(rows);
}

TEST_CASE("attachments other than announced are errors", "[codec]") {
  const auto values = numbers(5000);
  Writer out;
  codec<std::vector<double>>::save(out, values);
  const auto load_with = [&](std::vector<std::uint64_t> sizes) {
    Claims claims(sizes);
    Reader in(out.bytes.bytes(), &claims);
    codec<std::vector<double>>::load(in);
  };
  CHECK_THROWS_AS(load_with({}), DecodeError);
  CHECK_THROWS_AS(load_with({39'999}), DecodeError);
  CHECK_THROWS_AS(load_with({40'001}), DecodeError);
  CHECK_NOTHROW(load_with({40'000}));
  CHECK_NOTHROW(load_with({40'000, 7}));
  Reader in(out.bytes.bytes());
  CHECK_THROWS_AS(codec<std::vector<double>>::load(in), DecodeError);
}

TEST_CASE("a count beyond what the bytes can hold is an error before memory is taken", "[codec]") {
  const auto load_count = [](auto type, std::uint64_t count) {
    using T = typename decltype(type)::type;
    Writer out;
    out.value(count);
    out.raw("12345678", 8);
    Reader in(out.bytes.bytes());
    static_cast<void>(codec<T>::load(in));
  };
  for (const std::uint64_t count : {std::uint64_t{9}, std::uint64_t{1} << 32U, std::uint64_t{1} << 61U, ~std::uint64_t{0}}) {
    CAPTURE(count);
    CHECK_THROWS_AS(load_count(std::type_identity<std::string>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::vector<double>>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::vector<bool>>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::vector<std::string>>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::list<int>>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::map<int, int>>(), count), DecodeError);
    CHECK_THROWS_AS(load_count(std::type_identity<std::set<std::string>>(), count), DecodeError);
  }
}

TEST_CASE("overwritten bytes give a value or an error", "[codec]") {
  survive_corruption(std::string("some text"));
  survive_corruption(std::vector<std::string>{"a", "bc", "def"});
  survive_corruption(std::map<std::string, std::vector<int>>{{"a", {1, 2}}, {"b", {3}}});
  survive_corruption(std::tuple<std::string, int, std::optional<std::string>>("a", 1, "b"));
  survive_corruption(std::variant<int, std::string, std::vector<double>>(std::vector<double>{1, 2}));
  survive_corruption(std::deque<std::list<int>>{{1, 2}, {3}});
  survive_corruption(std::vector<double (*)(int)>{&half, &third});
}

TEST_CASE("long keys travel within the message, so that they are there when they are put in order", "[codec]") {
  const std::string a(40'000, 'a');
  const std::string b(40'000, 'b');
  const std::set<std::string> set = {b, a};
  Writer out;
  codec<std::set<std::string>>::save(out, set);
  CHECK(out.attachments.empty());
  CHECK_FALSE(out.flat);
  Reader in(out.bytes.bytes());
  CHECK((codec<std::set<std::string>>::load(in) == set));
  const std::map<std::string, std::string> map = {{a, a}, {b, b}};
  Writer values;
  codec<std::map<std::string, std::string>>::save(values, map);
  CHECK(values.attachments.size() == 2);
}
