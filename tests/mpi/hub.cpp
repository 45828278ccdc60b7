// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
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

// Fails until it is told not to.
double brittle(double x) {
  if (!rv::this_engine::vars().contains("mended")) throw std::runtime_error("not yet for " + std::to_string(x));
  return x / 2;
}

struct Scaled {
  double by = 1;
  std::string unit;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& by& unit;
  }
  std::string operator()(const std::vector<double>& values) const {
    if (!rv::this_engine::vars().contains("mended")) throw std::runtime_error("not yet");
    return std::to_string(std::accumulate(values.begin(), values.end(), 0.0) * by) + unit;
  }
};

// Compilers agree about its name; they do not about that of a lambda.
struct Particular {
  int operator()(int n) const {
    if (n == 2) throw std::domain_error("two is too many");
    return n;
  }
};

// What breaks there works as long as this lives.
struct Mended {
  Mended() { test::everyone().push_sync("mended", true); }
  Mended(const Mended&) = delete;
  Mended& operator=(const Mended&) = delete;
  ~Mended() { test::everyone().erase_sync("mended"); }
};

// The only value of the only row.
std::string value(const std::string& sql) {
  const rv::Table table = client().hub().query(sql);
  REQUIRE(table.rows.size() == 1);
  return table.rows.front().front().value_or("null");
}

const std::string this_run = " run = (select max(id) from run)";

}  // namespace

TEST_CASE("what tasks print is found in the hub", "[.hub]") {
  const auto view = balanced().with({.retries = 1, .label = "talking", .isolation = rv::process});
  const auto result = view.map(
      [](int n) {
        std::printf("n is %d\n", n);
        if (n == 2) throw std::runtime_error("two");
        return n;
      },
      std::vector{1, 2, 3});
  REQUIRE(result.wait(test::limit));
  CHECK(value("select group_concat(item || ':' || attempt || ':' || stdout, '') from (select * from output where call = " +
              std::to_string(result.task_ids()[0].call) + " and" + this_run + " order by item, attempt)") ==
        "0:1:n is 1\n1:1:n is 2\n1:2:n is 2\n2:1:n is 3\n");
  const auto found = client().db_query({.run = client().hub().run(), .label = "talking"});
  REQUIRE(found.size() == 3);
  CHECK(found[1].stdout_text == "n is 2\n");
  CHECK(found[1].stderr_text.empty());
  client().purge(found);
  CHECK(value("select count(*) from output where" + this_run) == "0");
}

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

TEST_CASE("a question may leave places open", "[.hub]") {
  CHECK(client().hub().query("select ?, ? || '!'", {4711, "it's"}).rows.front() ==
        std::vector<std::optional<std::string>>{"4711", "it's!"});
  CHECK(std::to_string(client().hub().run()) == value("select max(id) from run"));
}

TEST_CASE("calls and tasks are told as records", "[.hub]") {
  const auto before = std::chrono::system_clock::now();
  auto result = balanced().with({.label = "recorded"}).map(Particular(), std::vector<int>{1, 2, 3});
  REQUIRE(result.wait(test::limit));
  CHECK_FALSE(result.successful());
  const rv::TaskId id = result.task_ids().front();
  const std::int64_t run = client().hub().run();

  const std::vector<rv::CallRecord> calls = client().history();
  REQUIRE(!calls.empty());
  const rv::CallRecord& call = calls.back();
  CHECK(call.run == run);
  CHECK(call.call == id.call);
  CHECK(call.label == "recorded");
  CHECK(test::contains(call.function, "Particular"));
  CHECK(call.tasks == 3);
  CHECK(call.completed == 2);
  CHECK(call.failed == 1);
  CHECK(call.submitted >= before);
  CHECK(call.ended >= call.submitted);
  CHECK(client().history(run + 1000).empty());

  const std::vector<rv::TaskRecord> tasks = client().db_query({.run = run, .call = id.call});
  REQUIRE(tasks.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const rv::Metadata known = result.metadata(i);
    CHECK(tasks[i].task == known.task);
    CHECK(tasks[i].status == known.status);
    CHECK(tasks[i].engine == known.engine);
    CHECK(tasks[i].host == known.host);
    CHECK(tasks[i].label == known.label);
    CHECK(tasks[i].error == known.error);
    CHECK(std::chrono::abs(tasks[i].started - known.started) < 5us);
    CHECK(std::chrono::abs(tasks[i].completed - known.completed) < 5us);
  }
  const auto failed = client().db_query({.run = run, .status = rv::Status::failed, .label = "recorded", .error = "too many"});
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].task == rv::TaskId{id.call, 1});
  CHECK(client().db_query({.run = run, .call = id.call, .engine = 4711}).empty());
  CHECK(client().db_query({.run = run, .call = id.call, .host = "nowhere"}).empty());
  CHECK(client().db_query({.run = run, .call = id.call, .function = "Particular", .limit = 2}).size() == 2);
  CHECK(client().db_query({.run = run, .call = id.call, .longer_than = rv::Seconds(1000)}).empty());
}

TEST_CASE("a result that somebody has can be asked for by its number", "[.hub]") {
  auto numbers = balanced().map(twice, std::vector<int>{1, 2, 3});
  auto texts = balanced().apply([](int n) { return std::map<std::string, int>{{"n", n}}; }, 7);
  auto broken = client()[0].apply([]() -> int { throw std::runtime_error("no number"); });
  const std::uint64_t call = numbers.task_ids().front().call;
  CHECK(client().get_result<int>({call, 2}) == 6);
  CHECK(client().get_result<std::map<std::string, int>>(texts.task_ids().front()) == std::map<std::string, int>{{"n", 7}});
  CHECK(test::contains(
      test::thrown<rv::RemoteError>([&] { static_cast<void>(client().get_result<int>(broken.task_ids().front())); }).what(), "no number"));
  CHECK(test::contains(test::thrown<rv::TypeError>([&] { static_cast<void>(client().get_result<double>({call, 2})); }).what(), "int"));
  CHECK_THROWS_AS(client().get_result<int>({call, 3}), rv::UsageError);
  CHECK_THROWS_AS(client().get_result<int>({call + 1'000'000, 0}), rv::UsageError);
  // Nobody has it any more, and it was not kept.
  numbers = {};
  broken = {};
  CHECK(test::contains(test::thrown<rv::UsageError>([&] {
                         static_cast<void>(client().get_result<int>({call, 2}));
                       }).what(),
                       "RANKVIEW_KEEP=all"));
}

TEST_CASE("what failed is run again from what was kept of it", "[.hub]") {
  const std::int64_t run = client().hub().run();
  auto result = balanced().with({.label = "brittle"}).map(brittle, std::vector<double>{1, 2, 3});
  REQUIRE(result.wait(test::limit));
  CHECK_FALSE(result.successful());
  const std::uint64_t call = result.task_ids().front().call;
  result = {};
  CHECK(value("select count(*) from kept where call = " + std::to_string(call) + " and" + this_run) == "3");
  {
    // It may fail again.
    const auto again = client().resubmit<double>({{call, 2}});
    REQUIRE(again.wait(test::limit));
    CHECK(test::contains(test::thrown<rv::CompositeError>([&] { static_cast<void>(again.get()); }).what(), "not yet for 3.0"));
    CHECK(again.metadata(0).label == "brittle");
  }
  const Mended mended;
  const auto again = client().resubmit<double>({{call, 2}, {call, 0}}, {.label = "once more"});
  CHECK(again.get(test::limit) == std::vector<double>{1.5, 0.5});
  CHECK(again.metadata(0).label == "once more");
  CHECK(client().resubmit<double>(client().db_query({.run = run, .call = call})).get(test::limit) == std::vector<double>{0.5, 1.0, 1.5});
  CHECK(client().resubmit<double>(std::vector<rv::TaskId>()).get(test::limit).empty());
  CHECK(test::contains(test::thrown<rv::TypeError>([&] { static_cast<void>(client().resubmit<int>({{call, 0}})); }).what(), "double"));
  CHECK(test::contains(test::thrown<rv::UsageError>([&] {
                         static_cast<void>(client().resubmit<double>({{call, 7}}));
                       }).what(),
                       "not kept"));
  CHECK_THROWS_AS(client().resubmit<double>(run + 1000, {{call, 0}}), rv::UsageError);
  CHECK_THROWS_AS(client().resubmit<double>({{call, 0}}, {.checkpoint = "somewhere"}), rv::UsageError);
}

TEST_CASE("with its state, and arguments that are long", "[.hub]") {
  const std::vector<double> many(20'000, 0.5);
  auto one = balanced().map(Scaled{2, " km"}, std::vector<std::vector<double>>{{1, 2}, many});
  auto other = client()[-1].apply(Scaled{10, " m"}, many);
  REQUIRE(one.wait(test::limit));
  REQUIRE(other.wait(test::limit));
  const rv::TaskId first = one.task_ids().front();
  const rv::TaskId direct = other.task_ids().front();
  const int engine = other.metadata().engine;
  CHECK_FALSE(one.successful());
  CHECK_FALSE(other.successful());
  const Mended mended;
  // Of several calls.
  const auto again = client().resubmit<std::string>({direct, {first.call, 1}, first});
  CHECK(again.get(test::limit) == std::vector<std::string>{"100000.000000 m", "20000.000000 km", "6.000000 km"});
  // What was for one engine goes there.
  const auto there = client().resubmit<std::string>({direct, direct, direct});
  CHECK(there.get(test::limit).size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(there.metadata(i).engine == engine);
  const auto elsewhere = client().resubmit<std::string>({direct}, {.targets = {0}});
  REQUIRE(elsewhere.wait(test::limit));
  CHECK(elsewhere.metadata(0).engine == 0);
}

TEST_CASE("and as it was isolated", "[.hub]") {
  const auto result = balanced()
                          .with({.isolation = rv::process})
                          .apply(
                              [](int n) {
                                if (n == 1) std::abort();
                              },
                              1);
  REQUIRE(result.wait(test::limit));
  CHECK_FALSE(result.successful());
  const auto again = client().resubmit<void>(result.task_ids());
  REQUIRE(again.wait(test::limit));
  CHECK_FALSE(again.successful());
  CHECK(test::alive());
}

TEST_CASE("what is purged is gone", "[.hub]") {
  const auto result =
      balanced().map([](int n) { return n % 2 == 0 ? n : throw std::runtime_error("odd"); }, std::vector<int>{0, 1, 2, 3, 4});
  REQUIRE(result.wait(test::limit));
  CHECK_FALSE(result.successful());
  const std::uint64_t call = result.task_ids().front().call;
  const std::int64_t run = client().hub().run();
  const auto items = [&] {
    std::vector<std::uint64_t> all;
    for (const rv::TaskRecord& task : client().db_query({.run = run, .call = call})) all.push_back(task.task.item);
    return all;
  };
  CHECK(items() == std::vector<std::uint64_t>{0, 1, 2, 3, 4});
  client().purge({{call, 1}, {call, 2}});
  CHECK(items() == std::vector<std::uint64_t>{0, 3, 4});
  client().purge(client().db_query({.run = run, .call = call}));
  CHECK(items().empty());
  CHECK(value("select count(*) from kept where call = " + std::to_string(call) + " and" + this_run) == "0");
  CHECK(value("select count(*) from pack where call = " + std::to_string(call) + " and" + this_run) == "0");
  CHECK_THROWS_AS(client().purge_run(run), rv::UsageError);
  client().purge_before(std::chrono::system_clock::now());
  CHECK(value("select count(*) from run") == "1");
  CHECK(value("select count(*) from call where run != " + std::to_string(run)) == "0");
}

// Where everything is kept (RANKVIEW_KEEP=all).
TEST_CASE("a result that was kept outlives its handles", "[.kept]") {
  const std::vector<double> many(20'000, 0.5);
  auto numbers = balanced().map(twice, std::vector<int>{1, 2, 3});
  auto lists = client()[rv::all].apply([](const std::vector<double>& values) { return values; }, many);
  auto texts = balanced().apply([](int n) { return std::map<std::string, int>{{"n", n}}; }, 7);
  auto nothing = balanced().apply([] {});
  const rv::TaskId number = numbers.task_ids().back();
  const rv::TaskId list = lists.task_ids().back();
  const rv::TaskId text = texts.task_ids().back();
  const rv::TaskId none = nothing.task_ids().back();
  CHECK(numbers.get(test::limit) == std::vector<int>{2, 4, 6});
  for (int i = 0; i < 2; ++i) {
    CHECK(client().get_result<int>(number) == 6);
    CHECK(client().get_result<std::vector<double>>(list) == many);
    CHECK(client().get_result<std::map<std::string, int>>(text) == std::map<std::string, int>{{"n", 7}});
    client().get_result<void>(none);
    CHECK_THROWS_AS(client().get_result<long>(number), rv::TypeError);
    // Then from the database alone.
    numbers = {};
    lists = {};
    texts = {};
    nothing = {};
  }
  CHECK(client().get_result<int>(client().hub().run(), {number.call, 0}) == 2);
  CHECK(client().resubmit<int>({number}).get(test::limit) == std::vector<int>{6});
  CHECK(client().resubmit<std::vector<double>>({list}).get(test::limit).front() == many);
}

TEST_CASE("so do those of many tasks, and of calls whose handle is gone at once", "[.kept]") {
  std::vector<int> input(2000);
  std::iota(input.begin(), input.end(), 0);
  std::uint64_t call = 0;
  {
    const auto result = balanced().map(twice, input);
    call = result.task_ids().front().call;
  }
  client().wait();
  CHECK(value("select count(*) from kept where value is not null and call = " + std::to_string(call) + " and" + this_run) == "2000");
  CHECK(client().get_result<int>({call, 1711}) == 2 * 1711);
  std::vector<rv::TaskId> tasks;
  for (std::uint64_t item = 0; item < 2000; ++item) tasks.push_back({call, 1999 - item});
  const auto again = client().resubmit<int>(tasks).get(test::limit);
  REQUIRE(again.size() == 2000);
  for (int i = 0; i < 2000; ++i) REQUIRE(again[static_cast<std::size_t>(i)] == 2 * (1999 - i));
}

TEST_CASE("what engines do together, fold, or have as arguments of each other is as it was", "[.kept]") {
  const auto a = balanced().apply([](int n) { return std::vector<double>(10'000, n); }, 3);
  const auto sum = balanced().apply([](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }, a);
  CHECK(sum.get(test::limit) == 30'000);
  std::vector<int> input(100);
  std::iota(input.begin(), input.end(), 0);
  CHECK(balanced().map_reduce_sync(twice, std::plus<>(), input) == 9900);
  client()[rv::all].scatter_sync("part", input);
  CHECK(client()[rv::all].gather_sync<int>("part") == input);
  CHECK(balanced().apply_sync([](int n) { return rv::this_task::submit(twice, n).get(); }, 4) == 8);
}
