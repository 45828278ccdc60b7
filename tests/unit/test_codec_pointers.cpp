// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"
#include "transport/sanitized.hpp"

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/unique_ptr.hpp>
#include <boost/serialization/vector.hpp>

#include <sanitizer/lsan_interface.h>
#include <memory>
#include <vector>

// Boost.Serialization drops objects that it has made for pointers when what follows cannot be read, and cannot tell which of them a
// shared_ptr holds by then.
class KeepQuiet {
 public:
  KeepQuiet() {
    if constexpr (rankview::transport::address_sanitized) __lsan_disable();
  }
  KeepQuiet(const KeepQuiet&) = delete;
  KeepQuiet& operator=(const KeepQuiet&) = delete;
  ~KeepQuiet() {
    if constexpr (rankview::transport::address_sanitized) __lsan_enable();
  }
};

using namespace unit;

namespace app {

struct Node {
  int value = 0;
  std::vector<std::shared_ptr<Node>> next;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& value& next;
  }
};

class Shape {
 public:
  virtual ~Shape() = default;
  [[nodiscard]] virtual double area() const { return 0; }

  template <class Archive>
  void serialize(Archive&, unsigned) {}
};
class Square : public Shape {
 public:
  Square() = default;
  explicit Square(double side) : side_(side) {}
  [[nodiscard]] double area() const override { return side_ * side_; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& boost::serialization::base_object<Shape>(*this);
    archive& side_;
  }

 private:
  double side_ = 0;
};
class Disc : public Shape {
 public:
  [[nodiscard]] double area() const override { return 3 * radius; }
  double radius = 1;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& boost::serialization::base_object<Shape>(*this);
    archive& radius;
  }
};

}  // namespace app

BOOST_CLASS_EXPORT(app::Square)
BOOST_CLASS_EXPORT_GUID(app::Disc, "disc")

TEST_CASE("shared objects stay shared, cycles included", "[codec][boost]") {
  auto root = std::make_shared<app::Node>();
  auto leaf = std::make_shared<app::Node>();
  root->value = 1;
  leaf->value = 2;
  root->next = {leaf, leaf};
  leaf->next = {root};

  const auto loaded = round_trip(root);
  REQUIRE(loaded != nullptr);
  REQUIRE(loaded->next.size() == 2);
  CHECK(loaded->next[0] == loaded->next[1]);
  CHECK(loaded->next[0]->value == 2);
  CHECK(loaded->next[0]->next.at(0) == loaded);
  CHECK(round_trip(std::shared_ptr<app::Node>()) == nullptr);

  // A cycle of shared pointers lives until somebody cuts it.
  leaf->next.clear();
  loaded->next[0]->next.clear();
}

TEST_CASE("a cut graph of shared objects is refused", "[codec][boost]") {
  auto root = std::make_shared<app::Node>();
  root->next = {std::make_shared<app::Node>(), std::make_shared<app::Node>()};
  root->next.push_back(root->next[0]);
  const KeepQuiet about_leaks;
  refuse_every_cut(root);
}

TEST_CASE("exported classes arrive as what they were", "[codec][boost]") {
  std::vector<std::shared_ptr<app::Shape>> shapes{std::make_shared<app::Square>(3.0), std::make_shared<app::Disc>(), nullptr};
  shapes.push_back(shapes[0]);
  const auto loaded = round_trip(shapes);
  REQUIRE(loaded.size() == 4);
  CHECK(loaded[0]->area() == 9);
  CHECK(loaded[1]->area() == 3);
  CHECK(loaded[2] == nullptr);

  const std::unique_ptr<app::Shape> one = std::make_unique<app::Square>(2.0);
  CHECK(round_trip(one)->area() == 4);
}

TEST_CASE("cut objects of exported classes are refused", "[codec][boost]") {
  const std::vector<std::shared_ptr<app::Shape>> shapes{std::make_shared<app::Square>(3.0), std::make_shared<app::Disc>(), nullptr};
  const KeepQuiet about_leaks;
  refuse_every_cut(shapes);
}
