// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// What a class that Boost serialises may hold, without a header of Boost's.
#include "support.hpp"

#include <array>
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
#include <variant>
#include <vector>

using namespace unit;
using rankview::detail::attach_bytes;

namespace members {

struct Plain {
  std::string name;
  std::vector<int> values;
  friend bool operator==(const Plain&, const Plain&) = default;
};

class Part {
 public:
  Part() = default;
  explicit Part(int number) : number_(number) {}
  friend bool operator==(const Part&, const Part&) = default;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& number_;
  }

 private:
  int number_ = 0;
};

class Everything {
 public:
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& vector& list& deque& forward& map& hashed& set& optional& variant& pair& tuple& array& path;
    archive& wide& wides& plain& plains& parts& by_name& unique& shared& again;
  }

  std::vector<double> vector{1, 2};
  std::list<std::string> list{"a"};
  std::deque<int> deque{1};
  std::forward_list<int> forward{1, 2};
  std::map<std::string, std::vector<int>> map{{"k", {1}}};
  std::unordered_map<std::string, int> hashed{{"k", 1}};
  std::set<int> set{3, 1};
  std::optional<std::string> optional = "o";
  std::variant<int, std::string> variant = "v";
  std::pair<std::string, int> pair{"p", 1};
  std::tuple<int, std::string> tuple{1, "t"};
  std::array<std::string, 2> array{"x", "y"};
  std::filesystem::path path = "a/b";
  std::wstring wide = L"w";
  std::list<std::wstring> wides{L"", L"two"};
  Plain plain{"p", {1, 2}};
  std::vector<Plain> plains{{"q", {3}}};
  std::vector<Part> parts{Part(1), Part(2)};
  std::map<std::string, Part> by_name{{"three", Part(3)}};
  std::unique_ptr<Plain> unique = std::make_unique<Plain>(Plain{"u", {}});
  std::shared_ptr<Part> shared = std::make_shared<Part>(7);
  std::vector<std::shared_ptr<Part>> again{shared, shared};
};

// What it reads it keeps in another form, so that what it reads into has gone when the rest of the message arrives.
class Halved {
 public:
  Halved() = default;
  explicit Halved(std::vector<double> values) : values_(std::move(values)) {}
  friend bool operator==(const Halved&, const Halved&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    std::vector<double> twice;
    if constexpr (Archive::is_saving::value) {
      for (const double value : values_) twice.push_back(2 * value);
    }
    archive& twice;
    if constexpr (Archive::is_loading::value) {
      values_.clear();
      for (const double value : twice) values_.push_back(value / 2);
    }
  }

 private:
  std::vector<double> values_;
};

struct Holder {
  std::string name;
  std::vector<Part> parts;
  std::vector<double> values;
};

// It can be told by nobody but Boost.
class Hidden {
 public:
  std::string text;

 private:
  friend class boost::serialization::access;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text;
    text += "!";
  }
};

struct Outside {
  std::string text;
};

// It has nothing to do with Boost.
struct Other {
  std::string text;
  [[nodiscard]] std::string serialize() const { return text; }
};

}  // namespace members

namespace boost::serialization {
template <class Archive>
void serialize(Archive& archive, members::Outside& value, const unsigned) {
  archive& value.text;
  value.text += "!";
}
}  // namespace boost::serialization

TEST_CASE("a class that Boost serialises may hold what rankview knows", "[codec][members]") {
  const members::Everything sent;
  const auto loaded = round_trip(members::Everything());
  CHECK(loaded.vector == sent.vector);
  CHECK(loaded.list == sent.list);
  CHECK(loaded.deque == sent.deque);
  CHECK(loaded.forward == sent.forward);
  CHECK(loaded.map == sent.map);
  CHECK(loaded.hashed == sent.hashed);
  CHECK(loaded.set == sent.set);
  CHECK(loaded.optional == sent.optional);
  CHECK(loaded.variant == sent.variant);
  CHECK(loaded.pair == sent.pair);
  CHECK(loaded.tuple == sent.tuple);
  CHECK(loaded.array == sent.array);
  CHECK(loaded.path == sent.path);
  CHECK(loaded.wide == sent.wide);
  CHECK(loaded.wides == sent.wides);
  CHECK(loaded.plain == sent.plain);
  CHECK(loaded.plains == sent.plains);
  CHECK(loaded.parts == sent.parts);
  CHECK(loaded.by_name == sent.by_name);
  CHECK(*loaded.unique == *sent.unique);
  CHECK(*loaded.shared == *sent.shared);
  REQUIRE(loaded.again.size() == 2);
  CHECK(loaded.again[0] == loaded.shared);
  CHECK(loaded.again[1] == loaded.shared);
}

TEST_CASE("what a class writes by way of its own variables is never attached", "[codec][members]") {
  const members::Halved halved(std::vector<double>(attach_bytes, 1.5));
  Writer out;
  codec<members::Halved>::save(out, halved);
  CHECK(out.attachments.empty());
  CHECK_FALSE(out.flat);
  CHECK(out.archive == nullptr);
  CHECK(round_trip(halved) == halved);
}

TEST_CASE("a struct with such a class in it attaches the rest", "[codec][members]") {
  const members::Holder holder{"h", {members::Part(1), members::Part(2)}, std::vector<double>(attach_bytes, 1.5)};
  Writer out;
  codec<members::Holder>::save(out, holder);
  CHECK(out.attachments.size() == 1);
  const auto loaded = round_trip(holder);
  CHECK(loaded.parts == holder.parts);
  CHECK(loaded.values == holder.values);
}

TEST_CASE("what Boost has been told of a struct goes before its members", "[codec][members]") {
  members::Hidden hidden;
  hidden.text = "h";
  CHECK(round_trip(hidden).text == "h!");
  CHECK(round_trip(members::Outside{"o"}).text == "o!");
  CHECK(round_trip(members::Other{"o"}).text == "o");
}
