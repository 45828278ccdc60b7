// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>
#include <rankview/this_engine.hpp>
#include <rankview/variables.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace rankview;
using unit::contains;
using unit::message_of;

TEST_CASE("variables keep what was stored, with its type", "[variables]") {
  Variables vars;
  vars.set("a", std::vector<double>{1, 2});
  vars.set("b", 5);
  vars.emplace<std::string>("c", 3U, 'x');
  CHECK(vars.get<std::vector<double>>("a") == std::vector<double>{1, 2});
  CHECK(vars.get<int>("b") == 5);
  CHECK(vars.get<std::string>("c") == "xxx");
  CHECK(vars.size() == 3);
  CHECK(vars.names() == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("a variable is changed in place", "[variables]") {
  Variables vars;
  int& stored = vars.set("n", 1);
  vars.get<int>("n") += 4;
  CHECK(stored == 5);
  CHECK(&vars.get<int>("n") == &stored);
}

TEST_CASE("storing again replaces value and type", "[variables]") {
  Variables vars;
  vars.set("x", 1);
  vars.set("x", std::string("one"));
  CHECK(vars.get<std::string>("x") == "one");
  CHECK_THROWS_AS(vars.get<int>("x"), TypeError);
  CHECK(vars.size() == 1);
}

TEST_CASE("variables need be neither copyable nor movable", "[variables]") {
  struct Fixed {
    explicit Fixed(int n) : number(n) {}
    Fixed(const Fixed&) = delete;
    Fixed& operator=(const Fixed&) = delete;
    int number;
  };
  Variables vars;
  vars.emplace<Fixed>("f", 3);
  vars.set("u", std::make_unique<int>(4));
  CHECK(vars.get<Fixed>("f").number == 3);
  CHECK(*vars.get<std::unique_ptr<int>>("u") == 4);
}

TEST_CASE("erase and clear end the life of what was stored", "[variables]") {
  Variables vars;
  const auto shared = std::make_shared<int>(1);
  vars.set("a", shared);
  vars.set("b", shared);
  vars.set("c", shared);
  CHECK(shared.use_count() == 4);
  CHECK(vars.erase("a"));
  CHECK_FALSE(vars.erase("a"));
  CHECK_FALSE(vars.contains("a"));
  CHECK(vars.contains("b"));
  vars.set("b", 0);
  CHECK(shared.use_count() == 2);
  vars.clear();
  CHECK(shared.use_count() == 1);
  CHECK(vars.names().empty());
}

TEST_CASE("a missing variable is a NameError that says which there are", "[variables]") {
  Variables vars;
  CHECK(message_of<NameError>([&] { static_cast<void>(vars.get<int>("a")); }) == "no variable \"a\" on this engine, which has none");
  vars.set("b", 1);
  vars.set("c", 1);
  CHECK(message_of<NameError>([&] { static_cast<void>(vars.get<int>("a")); }) == "no variable \"a\" on this engine, which has b, c");
  for (int i = 0; i < 1000; ++i) vars.set("variable" + std::to_string(i), i);
  const std::string text = message_of<NameError>([&] { static_cast<void>(vars.get<int>("a")); });
  CHECK(text.size() < 400);
  CHECK(contains(text, ", ..."));
}

TEST_CASE("a variable of another type is a TypeError that names both", "[variables]") {
  Variables vars;
  vars.set("a", std::vector<int>{1});
  CHECK(message_of<TypeError>([&] { static_cast<void>(vars.get<std::vector<double>>("a")); }) ==
        "variable \"a\" is a std::vector<int>, not a std::vector<double>");
  CHECK(message_of<TypeError>([&] { static_cast<void>(vars.get<std::string>("a")); }) ==
        "variable \"a\" is a std::vector<int>, not a std::string");
}

TEST_CASE("this_engine outside of a task is a usage error", "[variables]") {
  CHECK_THROWS_AS(this_engine::id(), UsageError);
  CHECK_THROWS_AS(this_engine::size(), UsageError);
  CHECK_THROWS_AS(this_engine::vars(), UsageError);
}
