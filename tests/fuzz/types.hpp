// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/codec.hpp>

#include <boost/serialization/list.hpp>
#include <boost/serialization/map.hpp>
#include <boost/serialization/vector.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

// What is decoded, by all lanes. The first byte of an input chooses the type.
namespace fuzz {

struct Point {
  double x = 0;
  double y = 0;
  std::int32_t id = 0;
  std::int32_t unused = 0;
};

struct Account {
  std::string owner;
  std::vector<double> bookings;
  std::vector<std::string> notes;
  std::map<std::string, std::vector<int>> limits;
  std::list<std::pair<int, int>> pairs;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& owner& bookings& notes& limits& pairs;
  }
};

using Types =
    std::tuple<int, Point, std::string, std::vector<double>, std::vector<Point>, std::vector<std::string>, std::vector<bool>,
               std::vector<std::vector<std::uint16_t>>, std::deque<std::list<int>>, std::set<std::string>,
               std::map<std::string, std::vector<double>>, std::multimap<int, std::optional<std::string>>,
               std::tuple<std::string, int, std::vector<std::vector<char>>>, std::pair<double, std::u16string>, std::array<std::string, 3>,
               std::variant<int, std::string, std::vector<double>>, std::unique_ptr<std::vector<std::string>>, double (*)(double), Account,
               std::vector<Account>, std::map<int, Account>>;

inline constexpr std::size_t type_count = std::tuple_size_v<Types>;

// The second byte says how many attachments are announced; each then has its size in two bytes, beyond what goes into a message.
inline constexpr std::size_t most_attachments = 4;

}  // namespace fuzz
