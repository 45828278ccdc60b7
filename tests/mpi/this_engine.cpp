// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using test::client;
using test::everyone;

TEST_CASE("a task knows its engine") {
  CHECK(everyone().apply_sync(rv::this_engine::id) == client().ids());
  CHECK(everyone().apply_sync(rv::this_engine::size) == std::vector<int>(client().size(), test::engines()));
  for (const int id : client().ids()) CHECK(client()[id].apply_sync([] { return rv::this_engine::id(); }) == id);
}

TEST_CASE("outside of a task there is no engine to ask") {
  CHECK_THROWS_AS(rv::this_engine::id(), rv::UsageError);
  CHECK_THROWS_AS(rv::this_engine::size(), rv::UsageError);
  CHECK_THROWS_AS(rv::this_engine::vars(), rv::UsageError);
}

TEST_CASE("a task uses its engine's variables directly") {
  everyone().clear_sync();
  everyone().apply_sync([] {
    rv::Variables& vars = rv::this_engine::vars();
    vars.emplace<std::vector<int>>("v", 3, 7);
    vars.set("owner", std::make_unique<int>(4));
    std::string& text = vars.set("text", std::string("abc"));
    text += "d";
  });
  CHECK(everyone()["v"].get<std::vector<int>>().back() == std::vector<int>{7, 7, 7});
  CHECK(everyone()["text"].get<std::string>().back() == "abcd");
  CHECK(client()[0].apply_sync([](std::unique_ptr<int>& n) { return ++*n; }, rv::ref("owner")) == 5);
  CHECK(client()[0].apply_sync([] {
    rv::Variables& vars = rv::this_engine::vars();
    return vars.size() == 3 && vars.contains("v") && vars.erase("v") && !vars.erase("v") && !vars.contains("v") &&
           vars.names() == std::vector<std::string>{"owner", "text"};
  }));
  const auto error = test::thrown<rv::TypeError>([] { client()[0].apply_sync([] { return rv::this_engine::vars().get<int>("text"); }); });
  CHECK(test::contains(error.what(), "std::string"));
  CHECK(test::contains(error.what(), "int"));
}

TEST_CASE("threads that a task starts may ask too, where the engine has a process of its own") {
  if (client()[0].apply_sync(getpid) == getpid()) return;
  const auto ids = everyone().apply_sync([] { return std::async(std::launch::async, [] { return rv::this_engine::id(); }).get(); });
  CHECK(ids == client().ids());
}
