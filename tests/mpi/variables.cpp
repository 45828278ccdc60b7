// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

// push, pull and what else views do with the variables of engines.

TEST_CASE("push and pull") {
  everyone().clear_sync();
  const rv::DirectView all = everyone();
  all.push_sync("x", 3.5);
  CHECK(all.pull_sync<double>("x") == std::vector<double>(client().size(), 3.5));
  CHECK(client()[0].pull_sync<double>("x") == 3.5);

  const auto pushed = all.push("x", 4.5);
  pushed.get(test::limit);
  CHECK(pushed.size() == client().size());
  CHECK(all.pull<double>("x").get(test::limit) == std::vector<double>(client().size(), 4.5));

  // Each engine has variables of its own.
  for (const int id : client().ids()) client()[id].push_sync("id", 10 * id);
  const auto ids = all.pull_sync<int>("id");
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(ids[i] == static_cast<int>(10 * i));
}

TEST_CASE("subscripts push and pull, and wait") {
  everyone().clear_sync();
  const rv::EngineView one = client()[-1];
  one["v"] = std::vector{1, 2, 3};
  CHECK(one["v"].get<std::vector<int>>() == std::vector{1, 2, 3});
  everyone()["s"] = "a literal";
  CHECK(everyone()["s"].get<std::string>() == std::vector<std::string>(client().size(), "a literal"));
  const std::string name = "n";
  one[name] = 7;
  CHECK(one[name].get<int>() == 7);
  const auto f = one["f"];
  f = 1.5;
  CHECK(f.get<double>() == 1.5);
}

TEST_CASE("what is pushed keeps its type, as what owns its data") {
  everyone().clear_sync();
  const rv::EngineView one = client()[0];
  const char* const text = "text";
  one["literal"] = "text";
  one["pointer"] = text;
  one["view"] = std::string_view("text");
  for (const char* const name : {"literal", "pointer", "view"}) CHECK(one[name].get<std::string>() == "text");
  const std::map<std::string, std::vector<double>> map = {{"a", {1, 2}}};
  one["map"] = map;
  CHECK(one["map"].get<std::map<std::string, std::vector<double>>>() == map);
  one["flags"] = std::vector<bool>{true, false};
  CHECK(one["flags"].get<std::vector<bool>>() == std::vector<bool>{true, false});
}

TEST_CASE("a new value takes the place of the old one, whatever its type") {
  everyone()["x"] = 1;
  everyone()["x"] = std::string("one");
  CHECK(everyone()["x"].get<std::string>() == std::vector<std::string>(client().size(), "one"));
}

TEST_CASE("variables that travel beside their messages") {
  std::vector<double> values(50'000, 1.25);
  values.back() = -1;
  everyone()["sync"] = values;
  everyone().push("lvalue", values).get(test::limit);
  everyone().push("borrowed", rv::borrow(values)).get(test::limit);
  everyone().push("rvalue", std::vector<double>(values)).get(test::limit);
  for (const char* const name : {"sync", "lvalue", "borrowed", "rvalue"}) {
    for (const auto& each : everyone()[name].get<std::vector<double>>()) CHECK(each == values);
    CHECK(client()[0].pull<std::vector<double>>(name).get(test::limit) == values);
  }
  everyone().clear_sync();
}

TEST_CASE("erase, clear, contains and names") {
  const rv::EngineView one = client()[0];
  everyone().clear_sync();
  CHECK(one.names_sync().empty());
  everyone()["b"] = 1;
  everyone()["a"] = 2;
  one["c"] = 3;
  CHECK(one.names_sync() == std::vector<std::string>{"a", "b", "c"});
  CHECK(everyone().names().get(test::limit).back().size() == (test::engines() == 1 ? 3 : 2));
  CHECK(one.contains_sync("c"));
  CHECK_FALSE(one.contains("d").get(test::limit));
  CHECK(one.erase_sync("c"));
  CHECK_FALSE(one.erase("c").get(test::limit));
  CHECK(everyone().contains_sync("a") == std::vector<bool>(client().size(), true));
  CHECK(everyone().erase_sync("a") == std::vector<bool>(client().size(), true));
  CHECK(everyone().contains_sync("a") == std::vector<bool>(client().size(), false));
  everyone().clear().get(test::limit);
  for (const auto& names : everyone().names_sync()) CHECK(names.empty());
}

TEST_CASE("a missing variable is a NameError that says what there is") {
  everyone().clear_sync();
  const rv::EngineView one = client()[0];
  one["present"] = 1;
  const auto error = test::thrown<rv::NameError>([&] { one.pull_sync<int>("absent"); });
  CHECK(test::contains(error.what(), "\"absent\""));
  CHECK(test::contains(error.what(), "present"));
  CHECK(test::contains(error.what(), "engine 0"));
  CHECK(error.engine() == 0);
  CHECK_THROWS_AS(one["absent"].get<int>(), rv::NameError);
  CHECK_THROWS_AS(one.pull<int>("absent").get(test::limit), rv::NameError);
}

TEST_CASE("a variable of another type is a TypeError that names both") {
  everyone()["x"] = std::vector{1, 2};
  const auto error = test::thrown<rv::TypeError>([&] { client()[-1].pull_sync<std::string>("x"); });
  CHECK(test::contains(error.what(), "\"x\""));
  CHECK(test::contains(error.what(), "std::vector<int>"));
  CHECK(test::contains(error.what(), "std::string"));
  CHECK(error.engine() == test::engines() - 1);
  // No conversions between numbers either.
  everyone()["n"] = 1;
  const auto number = test::thrown<rv::TypeError>([&] { client()[0].pull_sync<double>("n"); });
  CHECK(test::contains(number.what(), "int"));
  CHECK(test::contains(number.what(), "double"));
}

TEST_CASE("a name that only some engines lack fails on just those, in target order") {
  everyone().clear_sync();
  std::vector<int> backwards = client().ids();
  std::reverse(backwards.begin(), backwards.end());
  const rv::DirectView view = client()[backwards];
  for (const int id : backwards) {
    if (id % 2 == 0) client()[id]["even"] = id;
  }
  const auto result = view.pull<int>("even");
  REQUIRE(result.wait(test::limit));
  std::vector<int> lacking;
  for (const int id : backwards) {
    if (id % 2 == 1) lacking.push_back(id);
  }
  if (lacking.empty()) {
    CHECK(result.get() == std::vector<int>{0});
    return;
  }
  const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
  REQUIRE(error.size() == lacking.size());
  for (std::size_t i = 0; i < lacking.size(); ++i) {
    const auto& failure = error.failures()[i];
    CHECK(test::held<rv::NameError>(failure.error).engine() == lacking[i]);
    CHECK(backwards[failure.index] == lacking[i]);
  }
  const auto outcomes = result.results();
  for (std::size_t i = 0; i < backwards.size(); ++i) CHECK(outcomes[i].has_value() == (backwards[i] % 2 == 0));
}

TEST_CASE("several variables at once") {
  everyone()["n"] = 7;
  everyone()["s"] = std::string("text");
  everyone()["v"] = std::vector<double>(5000, 0.5);
  using Three = std::tuple<int, std::string, std::vector<double>>;
  const Three wanted{7, "text", std::vector<double>(5000, 0.5)};
  CHECK(client()[0].pull_sync<int, std::string, std::vector<double>>({"n", "s", "v"}) == wanted);
  const std::string name = "n";
  const rv::AsyncResult<std::vector<Three>> several = everyone().pull<int, std::string, std::vector<double>>({name, "s", "v"});
  CHECK(several.get(test::limit) == std::vector<Three>(client().size(), wanted));
  const auto [n, s] = client()[-1].pull<int, std::string>({"n", "s"}).get(test::limit);
  CHECK(n == 7);
  CHECK(s == "text");
  CHECK_THROWS_AS((client()[0].pull_sync<int, std::string>({"n", "no such"})), rv::NameError);
  CHECK(test::contains(test::thrown<rv::TypeError>([] { client()[0].pull_sync<int, double>({"n", "s"}); }).what(), "\"s\""));
}

TEST_CASE("variables last from call to call, the locals of a task do not") {
  everyone().apply_sync([] { rv::this_engine::vars().set("kept", 0); });
  for (int i = 0; i < 5; ++i) everyone().apply_sync([] { ++rv::this_engine::vars().get<int>("kept"); });
  CHECK(everyone()["kept"].get<int>() == std::vector<int>(client().size(), 5));
  const auto ran = balanced().map_sync(
      [](int) {
        ++rv::this_engine::vars().get<int>("kept");
        return 1;
      },
      std::vector<int>(30));
  int total = 0;
  for (const int kept : everyone()["kept"].get<int>()) total += kept;
  CHECK(total == 5 * test::engines() + static_cast<int>(ran.size()));
}

TEST_CASE("asynchronous pushes and pulls on one engine keep their order") {
  const rv::EngineView one = client()[0];
  std::vector<rv::AsyncResult<int>> pulled;
  for (int i = 0; i < 300; ++i) {
    one.push("x", i);
    pulled.push_back(one.pull<int>("x"));
  }
  for (int i = 0; i < 300; ++i) CHECK(pulled[static_cast<std::size_t>(i)].get(test::limit) == i);
}
