// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <chrono>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/mpi/communicator.hpp>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

// Whether `ready` comes to be true while the client looks.
template <class Ready>
bool comes(Ready ready) {
  for (const auto end = std::chrono::steady_clock::now() + test::limit; !ready(); client().spin()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("publish: values come while the task runs, and stay") {
  const test::Gate gate;
  const test::Gate second;
  const auto result = client()[-1].apply(
      [](const std::string& path, const std::string& next) {
        rv::this_task::publish("loss", 0.5);
        rv::this_task::publish("epoch", 1);
        test::Gate::pass(path);
        rv::this_task::publish("loss", 0.25);
        test::Gate::pass(next);
        rv::this_task::publish("words", std::vector<std::string>{"a", "", "ccc"});
        return 7;
      },
      gate.path(), second.path());
  const rv::TaskData data = result.data();
  REQUIRE(comes([&] { return data.contains("epoch"); }));
  CHECK(data.get<double>("loss") == 0.5);
  CHECK(data.get<int>("epoch") == 1);
  CHECK(data.names() == std::vector<std::string>{"epoch", "loss"});
  CHECK_FALSE(result.ready());
  gate.open();
  REQUIRE(comes([&] { return result.data(0).get<double>("loss") == 0.25; }));
  CHECK_FALSE(result.ready());
  second.open();
  const auto copy = result;
  CHECK(copy.get(test::limit) == 7);
  CHECK(copy.data(0).get<double>("loss") == 0.25);
  CHECK(data.get<std::vector<std::string>>("words") == std::vector<std::string>{"a", "", "ccc"});
  CHECK(data.names() == std::vector<std::string>{"epoch", "loss", "words"});
  const auto list = data.list();
  REQUIRE(list.size() == 3);
  CHECK(list[1] == rv::VariableInfo{"loss", "double", sizeof(double)});
  CHECK(list[2].type == "std::vector<std::string>");
}

TEST_CASE("publish: no such name, and another type") {
  const auto result = balanced().apply([] { rv::this_task::publish("text", "a literal"); });
  REQUIRE(result.wait(test::limit));
  const rv::TaskData data = result.data();
  CHECK(data.get<std::string>("text") == "a literal");
  const auto missing = test::thrown<rv::NameError>([&] { return data.get<int>("loss"); });
  CHECK(test::contains(missing.what(), "\"loss\""));
  CHECK(test::contains(missing.what(), "text"));
  const auto type = test::thrown<rv::TypeError>([&] { return data.get<std::vector<double>>("text"); });
  CHECK(test::contains(type.what(), "std::string"));
  CHECK(test::contains(type.what(), "std::vector<double>"));
  CHECK_FALSE(data.contains("loss"));
  CHECK_THROWS_AS(result.data(1), std::out_of_range);
  CHECK_THROWS_AS(rv::AsyncResult<int>().data(), rv::UsageError);
  const auto silent = balanced().apply([] {});
  REQUIRE(silent.wait(test::limit));
  CHECK(silent.data().names().empty());
  CHECK(test::contains(test::thrown<rv::NameError>([&] { return silent.data().get<int>("x"); }).what(), "nothing"));
}

TEST_CASE("publish: each task has its own values") {
  const auto map = balanced().map(
      [](int n) {
        rv::this_task::publish("n", n);
        rv::this_task::publish("square", static_cast<long>(n) * n);
        if (n % 10 == 3) throw std::runtime_error("a bad number");
        return n;
      },
      std::views::iota(0, 500));
  REQUIRE(map.wait(test::limit));
  int wrong = 0;
  for (int n = 0; n < 500; ++n) {
    const rv::TaskData data = map.data(static_cast<std::size_t>(n));
    if (data.get<int>("n") != n || data.get<long>("square") != static_cast<long>(n) * n) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK_FALSE(map.successful());
  const auto direct = everyone().apply([] { rv::this_task::publish("id", rv::this_engine::id()); });
  REQUIRE(direct.wait(test::limit));
  for (int id = 0; id < engines(); ++id) CHECK(direct.data(static_cast<std::size_t>(id)).get<int>("id") == id);
  const auto block = everyone().map([](int n) { rv::this_task::publish("n", n); }, std::views::iota(0, 40));
  REQUIRE(block.wait(test::limit));
  for (int n = 0; n < 40; ++n) CHECK(block.data(static_cast<std::size_t>(n)).get<int>("n") == n);
}

TEST_CASE("publish: values of any length and kind, and results around them") {
  const auto result = balanced().map(
      [](int n) {
        const std::vector<double> values(static_cast<std::size_t>(n), 1.5);
        rv::this_task::publish("values", values);
        rv::this_task::publish("span", std::span(values));
        rv::this_task::publish("view", std::string_view("text"));
        rv::this_task::publish("empty", std::vector<int>());
        return values;
      },
      std::vector{0, 1, 1000, 10'000, 300'000, 3});
  REQUIRE(result.wait(test::limit));
  std::size_t i = 0;
  for (const std::size_t n : {0U, 1U, 1000U, 10'000U, 300'000U, 3U}) {
    const std::vector<double> wanted(n, 1.5);
    CHECK(result.data(i).get<std::vector<double>>("values") == wanted);
    CHECK(result.data(i).get<std::vector<double>>("span") == wanted);
    CHECK(result.data(i).get<std::string>("view") == "text");
    CHECK(result.data(i).get<std::vector<int>>("empty").empty());
    CHECK(result.get()[i] == wanted);
    ++i;
  }
}

TEST_CASE("publish: many values in no time, and the last one stays") {
  const auto result = everyone().apply([] {
    for (int n = 0; n <= 20'000; ++n) rv::this_task::publish("n", n);
  });
  REQUIRE(result.wait(test::limit));
  for (std::size_t i = 0; i < result.size(); ++i) CHECK(result.data(i).get<int>("n") == 20'000);
}

TEST_CASE("publish: what follows close on another does not wait for the task's end") {
  const test::Gate gate;
  const auto result = client()[0].apply(
      [](const std::string& path) {
        for (int n = 0; n <= 10; ++n) rv::this_task::publish("n", n);
        test::Gate::pass(path);
      },
      gate.path());
  CHECK(comes([&] { return result.data().contains("n") && result.data().get<int>("n") == 10; }));
  CHECK_FALSE(result.ready());
}

TEST_CASE("publish: values of tasks that nobody has a handle of are dropped") {
  const auto tell = [](int n) {
    rv::this_task::publish("values", std::vector<int>(1000, n));
    return n;
  };
  static_cast<void>(balanced().map(tell, std::views::iota(0, 100)));
  CHECK(client().wait(test::limit));
  CHECK(balanced().map_sync(tell, std::vector{1, 2}) == std::vector{1, 2});
  rv::AsyncResult<int> kept = balanced().apply(tell, 3);
  const rv::TaskData data = kept.data();
  kept = {};
  CHECK(client().wait(test::limit));
  // It is a handle, too.
  CHECK(data.get<std::vector<int>>("values").size() == 1000);
}

TEST_CASE("publish: progress") {
  const test::Gate gate;
  const auto result = client()[0].apply(
      [](const std::string& path) {
        rv::this_task::progress(0.25);
        test::Gate::pass(path);
        rv::this_task::progress(1);
      },
      gate.path());
  REQUIRE(comes([&] { return result.data().progress() > 0; }));
  CHECK(result.data().progress() == 0.25);
  gate.open();
  REQUIRE(result.wait(test::limit));
  CHECK(result.data().progress() == 1);
  CHECK(result.data().get<double>("progress") == 1);
  const auto silent = balanced().apply([] {});
  CHECK(silent.data().progress() == 0);
  for (const double wrong : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    const auto refused = balanced().apply([](double fraction) { rv::this_task::progress(fraction); }, wrong);
    CHECK(test::thrown<rv::RemoteError>([&] { refused.get(test::limit); }).type_name() == "rankview::UsageError");
  }
}

TEST_CASE("publish: outside of a task there is nobody to publish for") {
  CHECK_THROWS_AS(rv::this_task::publish("n", 1), rv::UsageError);
  CHECK_THROWS_AS(rv::this_task::progress(0.5), rv::UsageError);
}

TEST_CASE("publish: threads that a task starts, where the engine has a process of its own") {
  if (client()[0].apply_sync(getpid) == getpid()) return;
  const auto result = everyone().apply([] {
    std::vector<std::thread> threads;
    for (int k = 0; k < 4; ++k) {
      threads.emplace_back([k] {
        for (int n = 0; n <= 200; ++n) rv::this_task::publish("of " + std::to_string(k), n);
      });
    }
    for (int n = 0; n <= 200; ++n) rv::this_task::publish("own", n);
    for (std::thread& thread : threads) thread.join();
  });
  REQUIRE(result.wait(test::limit));
  for (std::size_t i = 0; i < result.size(); ++i) {
    CHECK(result.data(i).names() == std::vector<std::string>{"of 0", "of 1", "of 2", "of 3", "own"});
    for (const std::string& name : result.data(i).names()) CHECK(result.data(i).get<int>(name) == 200);
  }
}

TEST_CASE("publish: tasks that engines run together") {
  const auto teams = client().team_view(engines());
  const auto result = teams.map(
      [](const boost::mpi::communicator& comm, int n) {
        if (comm.rank() == 0) rv::this_task::publish("n", n);
        rv::this_task::publish("rank " + std::to_string(comm.rank()), comm.rank());
      },
      std::vector{5, 6, 7});
  REQUIRE(result.wait(test::limit));
  for (int n = 5; n < 8; ++n) {
    const rv::TaskData data = result.data(static_cast<std::size_t>(n - 5));
    CHECK(data.get<int>("n") == n);
    CHECK(data.names().size() == static_cast<std::size_t>(engines()) + 1);
  }
}
