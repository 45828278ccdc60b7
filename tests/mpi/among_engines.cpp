// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <map>
#include <string>
#include <vector>

using test::client;
using test::everyone;

TEST_CASE("allgather puts everybody's elements together, everywhere", "[data]") {
  const auto q = client().size();
  everyone().apply_sync([] {
    const auto id = static_cast<std::size_t>(rv::this_engine::id());
    rv::this_engine::vars().set("v", std::vector<int>(id, static_cast<int>(id)));
    rv::this_engine::vars().set("w", std::vector<std::string>(id, std::to_string(id)));
    rv::this_engine::vars().set("one", static_cast<double>(id));
  });
  std::vector<int> numbers;
  std::vector<std::string> words;
  std::vector<double> ones;
  for (std::size_t id = 0; id < q; ++id) {
    numbers.insert(numbers.end(), id, static_cast<int>(id));
    words.insert(words.end(), id, std::to_string(id));
    ones.push_back(static_cast<double>(id));
  }
  everyone().allgather_sync<int>("v", "all");
  everyone().allgather_sync<std::string>("w");
  everyone().allgather<double>("one").get(test::limit);
  for (const auto& each : everyone().pull_sync<std::vector<int>>("all")) CHECK(each == numbers);
  for (const auto& each : everyone().pull_sync<std::vector<std::string>>("w")) CHECK(each == words);
  for (const auto& each : everyone().pull_sync<std::vector<double>>("one")) CHECK(each == ones);
}

TEST_CASE("broadcast copies one engine's variable to the others, whatever it is", "[data]") {
  everyone().clear_sync();
  const rv::EngineView last = client()[-1];
  const std::map<std::string, std::vector<double>> map = {{"a", {1, 2}}, {"b", {}}};
  last["map"] = map;
  last["big"] = std::vector<double>(100'000, 0.5);
  everyone().broadcast_sync(-1, "map");
  everyone().broadcast(test::engines() - 1, "big").get(test::limit);
  for (const auto& each : everyone().pull_sync<std::map<std::string, std::vector<double>>>("map")) CHECK(each == map);
  CHECK(everyone().reduce_all_sync<double>("big", std::plus<>()) == 50'000.0 * static_cast<double>(client().size()));

  last.apply_sync([] { rv::this_engine::vars().set("file", std::this_thread::get_id()); });
  const auto error = test::thrown<rv::CompositeError>([] { everyone().broadcast_sync(-1, "file"); });
  CHECK(test::contains(error.what(), "file"));
  if (client().size() > 1) {
    CHECK_THROWS_AS(client()[std::vector<int>{0}].broadcast_sync(1, "map"), rv::UsageError);
  }
  CHECK_THROWS_AS(everyone().broadcast_sync(test::engines(), "map"), std::out_of_range);
}

TEST_CASE("a barrier ends when the last engine has come", "[data]") {
  test::Gate gate;
  client()[-1].apply(test::Gate::pass, gate.path());
  const auto barrier = everyone().barrier();
  CHECK_FALSE(barrier.wait(20ms));
  gate.open();
  barrier.get(test::limit);
  for (int i = 0; i < 20; ++i) everyone().barrier_sync();
}

TEST_CASE("names tell types and sizes", "[data]") {
  everyone().clear_sync();
  everyone()["d"] = 1.0;
  everyone()["v"] = std::vector<double>(1000);
  everyone()["s"] = std::vector<std::string>(10, std::string(100, 's'));
  const auto names = client()[0].names_sync();
  REQUIRE(names == std::vector<std::string>{"d", "s", "v"});
  CHECK(names[0].type == "double");
  CHECK(names[0].bytes == sizeof(double));
  CHECK(names[1].bytes >= 10 * (sizeof(std::string) + 100));
  CHECK(names[2].type == "std::vector<double>");
  CHECK(names[2].bytes == sizeof(std::vector<double>) + 8000);
}

TEST_CASE("long values of every kind are pushed", "[data]") {
  everyone().clear_sync();
  const std::map<int, std::string> map = [] {
    std::map<int, std::string> made;
    for (int i = 0; i < 5000; ++i) made[i] = std::to_string(i);
    return made;
  }();
  const std::string text(100'000, 't');
  const std::vector<std::vector<double>> nested(3, std::vector<double>(20'000, 2));
  everyone().push_sync("map", map);
  everyone().push("text", text).get(test::limit);
  everyone().push("nested", nested).get(test::limit);
  for (const auto& each : everyone().pull_sync<std::map<int, std::string>>("map")) CHECK(each == map);
  for (const auto& each : everyone().pull_sync<std::string>("text")) CHECK(each == text);
  for (const auto& each : everyone().pull_sync<std::vector<std::vector<double>>>("nested")) CHECK(each == nested);
}
