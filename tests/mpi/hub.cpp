// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <cstdlib>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::client;

// Where there is a hub (RANKVIEW_HUB).
namespace {

int twice(int n) { return 2 * n; }

// Asks the hub when it is asked what it says.
struct AskingError : std::exception {
  [[nodiscard]] const char* what() const noexcept override {
    static_cast<void>(client().hub().query("select 1"));
    return "it asks";
  }
};

// The only value of the only row.
std::string value(const std::string& sql) {
  const rv::Table table = client().hub().query(sql);
  REQUIRE(table.rows.size() == 1);
  return table.rows.front().front().value_or("null");
}

const std::string this_run = " run = (select max(id) from run)";

}  // namespace

TEST_CASE("what becomes of tasks is found in the hub", "[.hub]") {
  std::vector<int> numbers(3000);
  std::iota(numbers.begin(), numbers.end(), 0);
  const auto result = balanced().with({.label = "doubling"}).map(twice, numbers);
  REQUIRE(result.wait(test::limit));
  const std::string call = std::to_string(result.task_ids().front().call);
  CHECK(value("select count(*) from tasks where call = " + call + " and" + this_run) == "3000");
  CHECK(value("select count(distinct item) from tasks where status = 'completed' and call = " + call + " and" + this_run) == "3000");
  CHECK(value("select label from call where id = " + call + " and" + this_run) == "doubling");
  CHECK(value("select completed from call where id = " + call + " and" + this_run) == "3000");
  CHECK(value("select count(*) from engine where" + this_run) == std::to_string(test::engines()));
  const rv::Metadata metadata = result.metadata(1234);
  CHECK(value("select engine from tasks where item = 1234 and call = " + call + " and" + this_run) == std::to_string(metadata.engine));
}

TEST_CASE("why they failed, and how often they were tried", "[.hub]") {
  const auto f = [](int n) {
    if (n == 3) throw std::domain_error("three is too many");
    return n;
  };
  const auto result = balanced().with({.retries = 2}).map(f, std::vector<int>{1, 2, 3, 4});
  REQUIRE(result.wait(test::limit));
  CHECK_THROWS(result.get());
  const std::string call = std::to_string(result.task_ids().front().call);
  const rv::Table failed =
      client().hub().query("select item, attempts, error from tasks where status = 'failed' and call = " + call + " and" + this_run);
  CHECK(failed.columns == std::vector<std::string>{"item", "attempts", "error"});
  REQUIRE(failed.rows.size() == 1);
  CHECK(failed.rows[0][0] == "2");
  CHECK(failed.rows[0][1] == "3");
  CHECK(test::contains(failed.rows[0][2].value_or(""), "three is too many"));
  CHECK(value("select count(*) from retry where call = " + call + " and" + this_run) == "2");
}

TEST_CASE("an error that itself asks the hub", "[.hub]") {
  const auto result = balanced().apply(twice, 1).then([](int) -> int { throw AskingError(); });
  REQUIRE(result.wait(test::limit));
  CHECK_THROWS_AS(result.get(), AskingError);
  const std::string call = std::to_string(result.task_ids().front().call);
  CHECK(value("select error from tasks where call = " + call + " and" + this_run) == "it asks");
}

TEST_CASE("a question that is none is an error of its asker", "[.hub]") {
  CHECK(test::contains(test::thrown<rv::UsageError>([] { static_cast<void>(client().hub().query("select nothing")); }).what(), "nothing"));
  CHECK_THROWS_AS(client().hub().query("delete from run"), rv::UsageError);
}
