// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include "engine/failure.hpp"
#include "engine/type_name.hpp"

#include <rankview/errors.hpp>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using rankview::engine::describe_current_exception;
using rankview::engine::type_name;
using rankview::wire::Failure;
using rankview::wire::FailureKind;

namespace app {
struct Diverged {};
struct Inner : std::runtime_error {
  using std::runtime_error::runtime_error;
};
}  // namespace app

namespace {

template <class T>
Failure describe(const T& thrown) {
  try {
    throw thrown;
  } catch (...) {
    return describe_current_exception();
  }
}

}  // namespace

TEST_CASE("types as written in C++", "[type_name]") {
  CHECK(type_name(typeid(int)) == "int");
  CHECK(type_name(typeid(std::string)) == "std::string");
  CHECK(type_name(typeid(std::vector<double>)) == "std::vector<double>");
  CHECK(type_name(typeid(std::vector<std::string>)) == "std::vector<std::string>");
  CHECK(type_name(typeid(std::vector<std::vector<int>>)) == "std::vector<std::vector<int>>");
  CHECK(type_name(typeid(app::Diverged)) == "app::Diverged");
  CHECK(type_name(typeid(std::out_of_range)) == "std::out_of_range");
  CHECK_FALSE(unit::contains(type_name(typeid(std::map<std::string, std::vector<int>>)), "allocator"));
  CHECK_FALSE(unit::contains(type_name(typeid(std::map<std::string, std::vector<int>>)), "__cxx11"));
}

TEST_CASE("whatever is thrown can be told", "[type_name]") {
  const Failure range = describe(std::out_of_range("too far"));
  CHECK(range.kind == FailureKind::exception);
  CHECK(range.type_name == "std::out_of_range");
  CHECK(range.message == "too far");
  const Failure own = describe(app::Inner("own"));
  CHECK(own.type_name == "app::Inner");
  CHECK(own.message == "own");
  const Failure text = describe(std::string("a text"));
  CHECK(text.type_name == "std::string");
  CHECK(text.message == "a text");
  const Failure literal = describe(static_cast<const char*>("literal"));
  CHECK(literal.type_name == "const char*");
  CHECK(literal.message == "literal");
  CHECK(describe(static_cast<const char*>(nullptr)).message == "(null)");
  const Failure number = describe(7);
  CHECK(number.type_name == "int");
  CHECK(number.message == "7");
  CHECK(describe(7L).message == "7");
  CHECK(unit::contains(describe(1.5).message, "1.5"));
  const Failure other = describe(app::Diverged());
  CHECK(other.type_name == "app::Diverged");
  CHECK_FALSE(other.message.empty());
}

TEST_CASE("name and type errors stay what they are, without their place", "[type_name]") {
  rankview::TaskPlace place;
  place.engine = 1;
  const Failure name = describe(rankview::NameError("no a", place));
  CHECK(name.kind == FailureKind::name);
  CHECK(name.message == "no a");
  const Failure type = describe(rankview::TypeError("not a b", place));
  CHECK(type.kind == FailureKind::type);
  CHECK(type.message == "not a b");
}
