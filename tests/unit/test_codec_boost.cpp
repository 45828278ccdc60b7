// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>

#include <boost/serialization/access.hpp>
#include <boost/serialization/list.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/vector.hpp>
#include <boost/serialization/version.hpp>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace unit;

namespace app {

class Account {
 public:
  Account() = default;
  Account(std::string owner, std::vector<double> bookings) : owner_(std::move(owner)), bookings_(std::move(bookings)) {}
  friend bool operator==(const Account&, const Account&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& owner_& bookings_& flags_& limits_;
  }

 private:
  std::string owner_;
  std::vector<double> bookings_;
  std::vector<bool> flags_{true, false};
  std::map<std::string, int> limits_{{"day", 100}};
};

// Its serialize() is nobody's business but Boost's.
class Private {
 public:
  Private() = default;
  explicit Private(std::string text) : text_(std::move(text)) {}
  friend bool operator==(const Private&, const Private&) = default;

 private:
  friend class boost::serialization::access;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text_;
  }
  std::string text_;
};

struct Free {
  std::string name;
  int number = 0;
  friend bool operator==(const Free&, const Free&) = default;
};
template <class Archive>
void serialize(Archive& archive, Free& value, unsigned) {
  archive& value.name& value.number;
}

// Its bytes could be copied, but it says what is to be kept.
struct Cache {
  int key = 0;
  int scratch = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& key;
  }
};
static_assert(std::is_trivially_copyable_v<Cache>);

struct Split {
  int doubled = 0;
  template <class Archive>
  void save(Archive& archive, unsigned) const {
    const int half = doubled / 2;
    archive << half;
  }
  template <class Archive>
  void load(Archive& archive, unsigned version) {
    int half = 0;
    archive >> half;
    doubled = 2 * half + (version == 3 ? 0 : 1000);
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

struct Stubborn {
  std::string text;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if (text == "no") throw std::runtime_error("cannot be saved");
    archive& text;
  }
};

}  // namespace app

BOOST_CLASS_VERSION(app::Split, 3)
TEST_CASE("classes with a serialize member", "[codec][boost]") {
  const app::Account account("ann", {1.5, 2.5, 3.5});
  CHECK(round_trip(account) == account);
  refuse_every_cut(account);
  CHECK(round_trip(app::Private("secret")) == app::Private("secret"));
}

TEST_CASE("classes with a serialize function beside them", "[codec][boost]") {
  const app::Free value{"n", 4};
  CHECK(round_trip(value) == value);
  refuse_every_cut(value);
}

TEST_CASE("classes in containers of either side", "[codec][boost]") {
  const std::vector<app::Free> several{{"a", 1}, {"b", 2}};
  CHECK(round_trip(several) == several);
  const std::map<std::string, app::Account> accounts{{"x", {"x", {1}}}, {"y", {"y", {}}}};
  CHECK(round_trip(accounts) == accounts);
  const auto optional = std::optional(app::Private("p"));
  CHECK(round_trip(optional) == optional);
  refuse_every_cut(accounts);
}

TEST_CASE("what a trivially copyable class says of itself goes before its bytes", "[codec][boost]") {
  const app::Cache loaded = round_trip(app::Cache{5, 99});
  CHECK(loaded.key == 5);
  CHECK(loaded.scratch == 0);
  const auto several = round_trip(std::vector<app::Cache>{{1, 2}, {3, 4}});
  CHECK(several.at(1).key == 3);
  CHECK(several.at(1).scratch == 0);
}

TEST_CASE("save and load apart, with the class's version", "[codec][boost]") { CHECK(round_trip(app::Split{8}).doubled == 8); }

TEST_CASE("what serialize throws reaches the caller as itself", "[codec][boost]") {
  Writer out;
  const app::Stubborn stubborn{"no"};
  CHECK_THROWS_AS(codec<app::Stubborn>::save(out, stubborn), std::runtime_error);
  CHECK(message_of<std::exception>([&] { codec<app::Stubborn>::save(out, stubborn); }) == "cannot be saved");
}

TEST_CASE("overwritten bytes of a class give a value or an error", "[codec][boost]") {
  survive_corruption(app::Free{"name", 4});
  survive_corruption(app::Account("ann", {1.5, 2.5}));
  survive_corruption(std::vector<app::Free>{{"a", 1}, {"b", 2}});
}

TEST_CASE("a hostile count of elements is an error before memory is taken", "[codec][boost]") {
  Writer out;
  const app::Account account("a", {1.5});
  codec<app::Account>::save(out, account);
  // Wherever a count may stand.
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= out.bytes.size(); ++at) {
    for (const std::uint64_t count : {std::uint64_t{1} << 33U, std::uint64_t{1} << 62U, ~std::uint64_t{0}}) {
      Exact bytes(out.bytes.bytes());
      std::memcpy(bytes.bytes().data() + at, &count, sizeof(count));
      Reader in(bytes.bytes());
      try {
        static_cast<void>(codec<app::Account>::load(in));
      } catch (const std::exception&) {
        // As good an answer as a value.
      }
    }
  }
  SUCCEED("no crash");
}
