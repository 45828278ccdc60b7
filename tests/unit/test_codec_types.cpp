// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <complex>
#include <filesystem>
#include <forward_list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>

using namespace unit;
using rankview::DecodeError;
using rankview::detail::attach_bytes;
using rankview::detail::Bytes;
using rankview::detail::fixed_size;
using rankview::detail::sendable;

namespace types {

struct Row {
  std::string name;
  std::vector<double> x;
  int n = 0;
  friend bool operator==(const Row&, const Row&) = default;
};

struct Mesh {
  std::map<std::string, std::vector<Row>> groups;
  double box[3][2] = {};
  std::string labels[2];
  Row root;
  std::optional<Row> maybe;
  friend bool operator==(const Mesh&, const Mesh&) = default;
};

struct Bits {
  unsigned a : 3;
  unsigned b : 5;
  std::string text;
};

struct Sealed {
  explicit Sealed(int number) : value(number) {}
  int value;
};

struct Constant {
  const std::string name;
  const int number;
};

struct Tree {
  int value = 0;
  std::vector<Tree> children;
  std::unique_ptr<Tree> left;
};

struct Node {
  int value = 0;
  std::vector<std::shared_ptr<Node>> next;
  std::weak_ptr<Node> up;
};

struct Nothing {};

struct Operation {
  double (*function)(double);
  int times;
};

struct Wide {
  int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E;
  std::string last;
  friend bool operator==(const Wide&, const Wide&) = default;
};

// Trivially copyable, all of them.
struct Pointer {
  int n;
  double* data;
};
struct Nested {
  Pointer inside[2];
};
struct Text {
  std::string_view name;
};
struct Looks {
  const std::string& at;
  int n;
};
struct Refers {
  int& at;
};
struct Tagged {
  int kind;
  union {
    double number;
    char text[8];
  };
};
struct Limits {
  const int low;
  const int high;
};
struct Says {
  int key = 0;
  int scratch = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key;
  }
};
struct Holds {
  Says says;
  int n = 0;
};

double twice(double number) { return 2 * number; }
bool descending(int a, int b) { return a > b; }

struct Modulo {
  int by = 1;
  bool operator()(int a, int b) const { return a % by < b % by; }
};

struct Bucket {
  std::size_t salt = 0;
  std::size_t operator()(const std::string& text) const { return std::hash<std::string>()(text) ^ salt; }
};

}  // namespace types

using namespace types;

namespace {

template <class T>
void check(const T& value) {
  CHECK(round_trip(value) == value);
  refuse_every_cut(value);
}

std::vector<double> numbers(std::size_t count) {
  std::vector<double> values(count);
  std::iota(values.begin(), values.end(), 0.5);
  return values;
}

}  // namespace

TEST_CASE("plain structs travel member by member", "[codec][types]") {
  check(Row{"a", {1, 2, 3}, 4});
  check(std::vector<Row>{{"a", {1}, 1}, {}, {"b", {}, 2}});
  check(std::map<std::string, Row>{{"x", {"a", {1}, 1}}});
  Mesh mesh;
  mesh.groups["all"] = {{"a", {1}, 1}};
  mesh.box[2][1] = 5;
  mesh.labels[1] = "right";
  mesh.root = {"root", {2}, 3};
  mesh.maybe = Row{"m", {}, 9};
  check(mesh);
  survive_corruption(mesh);
  Wide wide{};
  wide.a = 1;
  wide.E = 31;
  wide.last = "last";
  check(wide);
}

TEST_CASE("long members of a struct are attached, and arrive when it has moved", "[codec][types]") {
  const Row row{std::string(attach_bytes, 'n'), numbers(attach_bytes), 3};
  Writer out;
  codec<Row>::save(out, row);
  CHECK(out.attachments.size() == 2);
  CHECK(round_trip(row) == row);
  CHECK(round_trip(std::vector<Row>{row, row}) == std::vector<Row>{row, row});
}

TEST_CASE("members of all sorts", "[codec][types]") {
  const Bits bits = round_trip(Bits{5, 17, "b"});
  CHECK(bits.a == 5);
  CHECK(bits.b == 17);
  CHECK(bits.text == "b");
  const Constant constant = round_trip(Constant{"c", 3});
  CHECK(constant.name == "c");
  CHECK(constant.number == 3);
  round_trip(Nothing());
  const Operation operation = round_trip(Operation{twice, 2});
  CHECK(operation.function(4) == 8);
  CHECK(operation.times == 2);
  STATIC_REQUIRE(fixed_size<Operation> != 0);
  const Holds holds = round_trip(Holds{{5, 99}, 2});
  CHECK(holds.says.key == 5);
  CHECK(holds.says.scratch == 0);
  CHECK(holds.n == 2);
}

TEST_CASE("a struct that holds others of its kind", "[codec][types]") {
  Tree tree{1, {}, nullptr};
  tree.children.push_back({2, {}, nullptr});
  tree.left = std::make_unique<Tree>();
  tree.left->value = 3;
  const Tree loaded = round_trip(tree);
  CHECK(loaded.children.at(0).value == 2);
  CHECK(loaded.left->value == 3);
  STATIC_REQUIRE(sendable<Tree>);
  STATIC_REQUIRE(sendable<Node>);
}

TEST_CASE("shared objects of plain structs stay shared, cycles included", "[codec][types]") {
  const auto leaf = std::make_shared<Node>();
  leaf->value = 2;
  auto root = std::make_shared<Node>();
  root->value = 1;
  root->next = {leaf, nullptr, leaf};
  leaf->up = root;
  leaf->next = {root};
  const auto loaded = round_trip(root);
  CHECK(loaded->value == 1);
  REQUIRE(loaded->next.size() == 3);
  CHECK(loaded->next[0] == loaded->next[2]);
  CHECK(loaded->next[1] == nullptr);
  CHECK(loaded->next[0]->value == 2);
  CHECK(loaded->next[0]->next.at(0) == loaded);
  CHECK(loaded->next[0]->up.lock() == loaded);
  leaf->next.clear();
  loaded->next[0]->next.clear();

  const auto several = round_trip(std::vector<std::shared_ptr<Node>>{leaf, leaf});
  CHECK(several[0] == several[1]);
  CHECK(*round_trip(std::shared_ptr<const int>(std::make_shared<int>(3))) == 3);
  const std::pair<std::shared_ptr<int>, std::shared_ptr<int>> two(std::make_shared<int>(1), std::make_shared<int>(1));
  CHECK(round_trip(two).first != round_trip(two).second);
  refuse_every_cut(std::vector<std::shared_ptr<Node>>{leaf, leaf});
  // Without nodes: bad bytes may well describe a node that holds itself, and nobody would free it.
  const auto text = std::make_shared<std::string>("shared");
  survive_corruption(std::vector<std::shared_ptr<std::string>>{text, nullptr, text});
}

TEST_CASE("bytes that hold an address are no bytes", "[codec][types]") {
  STATIC_REQUIRE_FALSE(Bytes<Pointer>);
  STATIC_REQUIRE_FALSE(Bytes<Nested>);
  STATIC_REQUIRE_FALSE(Bytes<std::array<Nested, 2>>);
  STATIC_REQUIRE_FALSE(Bytes<Text>);
  STATIC_REQUIRE_FALSE(Bytes<Looks>);
  STATIC_REQUIRE_FALSE(Bytes<Refers>);
  STATIC_REQUIRE_FALSE(sendable<Pointer>);
  STATIC_REQUIRE_FALSE(sendable<std::vector<Nested>>);
  STATIC_REQUIRE_FALSE(sendable<Looks>);
  STATIC_REQUIRE_FALSE(sendable<Refers>);
  STATIC_REQUIRE_FALSE(sendable<std::vector<int>::iterator>);
  STATIC_REQUIRE_FALSE(sendable<std::map<int, int>::iterator>);
  STATIC_REQUIRE_FALSE(sendable<std::move_iterator<int*>>);
  STATIC_REQUIRE_FALSE(sendable<std::counted_iterator<int*>>);
  STATIC_REQUIRE_FALSE(sendable<std::ranges::subrange<int*>>);
  STATIC_REQUIRE_FALSE(sendable<std::ranges::ref_view<std::vector<int>>>);
  STATIC_REQUIRE_FALSE(sendable<std::error_code>);
  STATIC_REQUIRE_FALSE(sendable<std::error_condition>);
  STATIC_REQUIRE_FALSE(sendable<std::type_index>);
  STATIC_REQUIRE_FALSE(sendable<std::thread::id>);
  STATIC_REQUIRE_FALSE(sendable<std::initializer_list<int>>);
  STATIC_REQUIRE_FALSE(Bytes<std::mutex>);
  STATIC_REQUIRE_FALSE(Bytes<std::atomic<int>>);
  STATIC_REQUIRE(Bytes<Tagged>);
  STATIC_REQUIRE(Bytes<Limits>);
  STATIC_REQUIRE(Bytes<Sealed>);
  STATIC_REQUIRE(Bytes<std::ranges::iota_view<int, int>>);
  STATIC_REQUIRE(Bytes<std::complex<double>>);
  STATIC_REQUIRE(Bytes<std::chrono::nanoseconds>);
  STATIC_REQUIRE(Bytes<std::bitset<70>>);
}

TEST_CASE("pairs with a const key, as maps hold them", "[codec][types]") {
  check(std::pair<const std::string, int>("a", 1));
  check(std::pair<const int, const int>(1, 2));
  check(std::vector<std::pair<const std::string, int>>{{"a", 1}, {"b", 2}});
  check(std::tuple<const int, std::string>(1, "a"));
}

TEST_CASE("paths", "[codec][types]") {
  check(std::filesystem::path("/tmp/some where"));
  check(std::filesystem::path());
  check(std::optional<std::filesystem::path>("a/b"));
  check(std::filesystem::path(std::string(attach_bytes + 1, 'p')));
}

TEST_CASE("containers bring along what orders or hashes their keys", "[codec][types]") {
  const std::set<int, bool (*)(int, int)> set({1, 2, 3}, descending);
  const auto loaded = round_trip(set);
  CHECK(loaded.key_comp() == &descending);
  CHECK(std::vector<int>(loaded.begin(), loaded.end()) == std::vector<int>{3, 2, 1});
  const std::map<int, std::string, Modulo> map({{11, "a"}, {20, "b"}}, Modulo{10});
  CHECK(round_trip(map).begin()->second == "b");
  CHECK(round_trip(map).key_comp().by == 10);
  const std::unordered_map<std::string, Row, Bucket> hashed({{"k", {"a", {1}, 1}}}, 4, Bucket{77});
  CHECK(round_trip(hashed).hash_function().salt == 77);
  CHECK(round_trip(hashed).at("k").name == "a");
  std::priority_queue<int, std::vector<int>, bool (*)(int, int)> queue(descending);
  for (const int i : {5, 3, 9}) queue.push(i);
  CHECK(round_trip(queue).top() == 3);
  refuse_every_cut(map);
  STATIC_REQUIRE_FALSE(sendable<std::set<int, std::function<bool(int, int)>>>);
  STATIC_REQUIRE(sendable<std::set<int, Modulo>>);
}

TEST_CASE("the rest of the standard's containers", "[codec][types]") {
  check(std::forward_list<std::string>{"a", "b", "c"});
  check(std::forward_list<int>());
  check(std::stack<int>({1, 2, 3}));
  check(std::queue<std::string>({"a", "b"}));
  std::priority_queue<std::string> queue;
  for (const char* const text : {"b", "c", "a"}) queue.push(text);
  CHECK(round_trip(queue).top() == "c");
  const auto array = round_trip(std::valarray<double>{1, 2, 3});
  CHECK((array.size() == 3 && array[2] == 3));
  CHECK(round_trip(std::valarray<double>(2.5, attach_bytes))[attach_bytes - 1] == 2.5);
  CHECK(round_trip(std::valarray<double>()).size() == 0);
  check(std::wstring(L"gr\u00fc\u00df"));
  check(std::u16string(u"x"));
  check(std::vector<bool>{true, false});
  check(std::vector<std::complex<double>>{{1, 2}});
  check(std::array<std::string, 3>{"a", "b", "c"});
  check(std::variant<int, Row>(Row{"v", {1}, 1}));
  CHECK(round_trip(std::array<std::string, 20'000>())[19'999].empty());
}
