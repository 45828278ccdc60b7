// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "gated.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;
using test::negative_fails;
using test::pass;

// What is given up, and what becomes of it.
namespace {

// Counts on each engine which items have run there.
int run(const std::string& passed, const std::string& opened, int n) {
  test::Gate::open(opened);
  test::Gate::pass(passed);
  rv::this_engine::vars().get<std::vector<int>>("ran").push_back(n);
  return n;
}

std::vector<int> all_that_ran() {
  std::vector<int> ran;
  for (const auto& some : everyone().pull_sync<std::vector<int>>("ran")) ran.insert(ran.end(), some.begin(), some.end());
  std::sort(ran.begin(), ran.end());
  return ran;
}

int until_stopped(const std::string& opened) {
  test::Gate::open(opened);
  for (const auto end = std::chrono::steady_clock::now() + test::limit; !rv::this_task::stop_requested();) {
    if (std::chrono::steady_clock::now() > end) return 0;
    std::this_thread::sleep_for(1ms);
  }
  return 1;
}

}  // namespace

TEST_CASE("tasks are given up by their ids, and the rest runs") {
  everyone().apply_sync([] { rv::this_engine::vars().set("ran", std::vector<int>()); });
  const test::Gate gate;
  const test::Gate begun;
  constexpr std::size_t count = 2000;
  const auto check = [&](const auto& result) {
    test::Gate::pass(begun.path());
    std::vector<rv::TaskId> ids;
    for (const rv::TaskId& id : result.task_ids()) {
      if (id.item % 3 == 1 || id.item > count - 10) ids.push_back(id);
    }
    client().abort(ids);
    client().abort(ids.front());
    CHECK_FALSE(result.ready());
    // What had been handed out may run before its engine hears of it.
    const auto handed_out = static_cast<std::size_t>(std::count_if(ids.begin(), ids.end(), [&](const rv::TaskId& id) {
      return result.metadata(static_cast<std::size_t>(id.item)).status == rv::Status::handed_out;
    }));
    if (engines() < 4) CHECK(handed_out < ids.size());
    gate.open();
    REQUIRE(result.wait(test::limit));
    const auto outcomes = result.results();
    std::vector<int> wanted;
    std::size_t aborted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const bool named = std::find(ids.begin(), ids.end(), result.task_ids()[i]) != ids.end();
      if (!named) CHECK(outcomes[i].has_value());
      if (outcomes[i].has_value()) {
        CHECK(outcomes[i].value() == static_cast<int>(i));
        wanted.push_back(static_cast<int>(i));
      } else {
        static_cast<void>(test::held<rv::TaskAborted>(outcomes[i].error()));
        ++aborted;
      }
    }
    CHECK(aborted >= ids.size() - handed_out);
    CHECK(all_that_ran() == wanted);
  };
  const std::vector paths(count, gate.path());
  const std::vector opens(count, begun.path());
  const auto numbers = std::views::iota(0);
  SECTION("load-balanced") { check(balanced().map(run, paths, opens, numbers)); }
  SECTION("in chunks") { check(balanced().with({.chunksize = 7}).map(run, paths, opens, numbers)); }
  SECTION("with retries") { check(balanced().with({.retries = 2}).map(run, paths, opens, numbers)); }
  SECTION("in blocks") { check(everyone().map(run, paths, opens, numbers)); }
  SECTION("on some engines") { check(client().load_balanced_view(std::vector{engines() - 1}).map(run, paths, opens, numbers)); }
  CHECK(client().wait(test::limit));
  const auto status = client().queue_status();
  CHECK(status.unassigned == 0);
  for (const auto& engine : status.engines) CHECK(engine.waiting + engine.handed_out == 0);
  CHECK(test::alive());
}

TEST_CASE("a task that runs is told when it is given up by its id, and is not tried again") {
  const test::Gate begun;
  const auto view = balanced().with({.retries = 3});
  const auto result = view.map(
      [](const std::string& opened) -> int {
        if (opened.empty()) return 2;
        if (until_stopped(opened) == 1) throw std::runtime_error("stopped");
        return 0;
      },
      std::vector<std::string>{begun.path(), ""});
  test::Gate::pass(begun.path());
  view.abort(result.task_ids()[0]);
  REQUIRE(result.wait(test::limit));
  CHECK(result[1] == 2);
  CHECK(test::thrown<rv::RemoteError>([&] { static_cast<void>(result[0]); }).message() == "stopped");
  CHECK(result.metadata(0).attempt == 1);
}

TEST_CASE("tasks that wait for others are given up by their ids") {
  const test::Gate gate;
  const auto first = balanced().apply(test::Gate::pass, gate.path());
  const auto waiting = balanced().with({.after = first}).map([](int n) { return n; }, std::views::iota(0, 10));
  const auto chunks = balanced().with({.chunksize = 4, .after = first}).map([](int n) { return n; }, std::views::iota(0, 10));
  const auto blocks = everyone().with({.after = first}).map([](int n) { return n; }, std::views::iota(0, 10));
  const auto single = balanced().with({.after = first}).apply([] { return 1; });
  const auto given_up = everyone().with({.after = first}).map([](int n) { return n; }, std::views::iota(0, 3));
  for (const auto& result : {waiting, chunks, blocks}) {
    client().abort({result.task_ids()[3], result.task_ids()[0]});
    CHECK(result.metadata(3).status == rv::Status::aborted);
  }
  client()[0].abort(single.task_ids());
  CHECK(single.ready());
  everyone().abort(given_up.task_ids());
  CHECK(given_up.ready());
  gate.open();
  for (const auto& result : {waiting, chunks, blocks}) {
    REQUIRE(result.wait(test::limit));
    for (std::size_t i = 0; i < 10; ++i) CHECK((result.metadata(i).status == rv::Status::aborted) == (i == 3 || i == 0));
    CHECK(result[rv::slice(4, {})] == std::vector{4, 5, 6, 7, 8, 9});
    CHECK_THROWS_AS(result.get(), rv::CompositeError);
  }
  CHECK_THROWS_AS(single.get(), rv::TaskAborted);
  CHECK_THROWS_AS(given_up.get(), rv::CompositeError);
  CHECK(client().wait(test::limit));
}

TEST_CASE("an engine's part of a direct call is given up by its id, and of a collective call all parts") {
  const test::Gate begun;
  const auto blockers = everyone().apply(until_stopped, begun.path());
  test::Gate::pass(begun.path());
  // What is handed out to an engine ahead of need is given up when its turn comes.
  const auto direct = everyone().apply([] { return 1; });
  client().abort(direct.task_ids().back());
  const auto barrier = everyone().with({.after = blockers}).barrier();
  client().abort(barrier.task_ids().back());
  CHECK(barrier.ready());
  CHECK_THROWS_AS(barrier.get(), rv::CompositeError);
  // The engines hear of it behind the other.
  client().abort(blockers);
  REQUIRE(direct.wait(test::limit));
  CHECK(direct.metadata(direct.size() - 1).status == rv::Status::aborted);
  for (std::size_t i = 0; i + 1 < direct.size(); ++i) CHECK(direct[i] == 1);
  CHECK_THROWS_AS(direct.get(), rv::CompositeError);
  everyone().barrier_sync();
  CHECK(test::alive());
}

TEST_CASE("abort takes results, ids and lists of them, and knows what never was") {
  const test::Gate gate;
  const auto first = balanced().apply(test::Gate::pass, gate.path());
  const auto view = balanced().with({.after = first});
  const auto a = view.apply([] { return 1; });
  const auto b = view.apply([] { return std::string("b"); });
  const auto c = view.map([](int n) { return n; }, std::vector{1, 2});
  const auto d = view.apply([] { return 4; });
  const auto e = view.apply([] { return 5; });
  client().abort({a, b});
  client().abort(std::vector{c});
  client().abort(d, d);
  view.abort(e);
  for (const bool ended : {a.ready(), b.ready(), c.ready(), d.ready(), e.ready()}) CHECK(ended);
  CHECK_THROWS_AS(a.get(), rv::TaskAborted);
  CHECK_THROWS_AS(c.get(), rv::CompositeError);
  CHECK_THROWS_AS(client().abort(rv::TaskId{a.task_ids()[0].call + 1'000'000, 0}), rv::UsageError);
  CHECK_THROWS_AS(view.abort(rv::TaskId{c.task_ids()[0].call, 2}), rv::UsageError);
  gate.open();
  CHECK(first.wait(test::limit));
  client().abort(first);  // there is nothing left to give up
  CHECK(first.successful());
}

TEST_CASE("abort gives up what waits and lets run what runs") {
  const test::Gate gate;
  const test::Gate begun;
  // More than engines are given ahead of need, even of tasks that are known to be short.
  const std::size_t count = 5000;
  const auto run = [](const std::string& passed, const std::string& opened, int n) {
    test::Gate::open(opened);
    test::Gate::pass(passed);
    return n;
  };
  const std::vector paths(count, gate.path());
  const std::vector opens(count, begun.path());
  const auto numbers = std::views::iota(0);
  const auto check = [&](const auto& result) {
    test::Gate::pass(begun.path());
    result.abort();
    CHECK(result.progress() >= 1);
    CHECK_FALSE(result.ready());
    gate.open();
    REQUIRE(result.wait(test::limit));
    CHECK_FALSE(result.successful());
    std::size_t ran = 0;
    std::size_t aborted = 0;
    for (const auto& outcome : result.results()) {
      if (outcome) {
        ++ran;
      } else {
        static_cast<void>(test::held<rv::TaskAborted>(outcome.error()));
        ++aborted;
      }
    }
    CHECK(ran >= 1);
    CHECK(aborted >= 1);
    CHECK(ran + aborted == result.size());
    const auto error = test::thrown<rv::CompositeError>([&] { result.get(); });
    CHECK(error.size() == aborted);
    CHECK(result.metadata(result.size() - 1).status == rv::Status::aborted);
    result.abort();  // there is nothing left to give up
  };
  SECTION("load-balanced") { check(balanced().map(run, paths, opens, numbers)); }
  SECTION("in chunks") { check(balanced().with({.chunksize = 2}).map(run, paths, opens, numbers)); }
  SECTION("in blocks") { check(client()[0].map(run, paths, opens, numbers)); }
  CHECK(test::alive());
}

TEST_CASE("abort of what has ended changes nothing") {
  const auto result = balanced().map([](int n) { return n; }, std::vector{1, 2});
  result.wait();
  result.abort();
  CHECK(result.get() == std::vector{1, 2});
}

TEST_CASE("abort of a single waiting task") {
  const test::Gate gate;
  const auto blockers = balanced().map(pass, std::vector(std::size_t{5000}, gate.path()), std::views::iota(0));
  const auto one = balanced().apply(negative_fails, 3);
  one.abort();
  CHECK(one.ready());
  CHECK_THROWS_AS(one.get(0s), rv::TaskAborted);
  gate.open();
  CHECK(blockers.get(test::limit).size() == 5000);
}

TEST_CASE("a running task sees that it was given up, and what is behind it does not begin") {
  const test::Gate begun;
  const rv::EngineView one = client()[-1];
  const auto patient = one.apply(
      [](const std::string& path) {
        test::Gate::open(path);
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!rv::this_task::stop_requested()) {
          if (std::chrono::steady_clock::now() > end) return std::string("nobody asked");
          std::this_thread::sleep_for(1ms);
        }
        return std::string("stopped");
      },
      begun.path());
  // Handed out at once, and behind the first.
  const auto behind = one.map([](int i) { return i; }, std::vector{1, 2, 3});
  const auto kept = one.apply([] { return rv::this_task::stop_requested(); });
  while (behind.metadata(2).status == rv::Status::waiting) client().spin();
  test::Gate::pass(begun.path());  // else it might never begin
  behind.abort();
  patient.abort();
  CHECK(patient.get(test::limit) == "stopped");
  const auto error = test::thrown<rv::CompositeError>([&] { behind.get(test::limit); });
  REQUIRE(error.size() == 3);
  for (const auto& failure : error.failures()) test::held<rv::TaskAborted>(failure.error);
  CHECK(behind.metadata(1).status == rv::Status::aborted);
  // It was not given up, and does not see that another was.
  CHECK_FALSE(kept.get(test::limit));
  CHECK_THROWS_AS(rv::this_task::stop_requested(), rv::UsageError);
}

TEST_CASE("a running task's stop token tells that it was given up") {
  const test::Gate begun;
  const auto result = client()[-1].apply(
      [](const std::string& path) {
        const std::stop_token token = rv::this_task::stop_token();
        std::atomic<int> called = 0;
        const std::stop_callback callback(token, [&called] {
          rv::this_task::publish("called", 1);  // what a task may do, its callbacks may
          ++called;
        });
        if (token.stop_requested() || !token.stop_possible() || rv::this_task::stop_token() != token) return -1;
        test::Gate::open(path);
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (called == 0 && std::chrono::steady_clock::now() < end) {
          static_cast<void>(rv::this_task::stop_requested());
          std::this_thread::sleep_for(1ms);
        }
        return token.stop_requested() && rv::this_task::stop_token().stop_requested() ? called.load() : -2;
      },
      begun.path());
  const auto next = client()[-1].apply([] { return rv::this_task::stop_token().stop_requested(); });
  test::Gate::pass(begun.path());
  result.abort();
  CHECK(result.get(test::limit) == 1);
  CHECK(result.data().get<int>("called") == 1);
  CHECK_FALSE(next.get(test::limit));
  CHECK_THROWS_AS(rv::this_task::stop_token(), rv::UsageError);
}

TEST_CASE("the client gives up everything, or some") {
  const auto go_on = [](int) {
    while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    return 1;
  };
  const auto some = balanced().map(go_on, std::vector<int>(20));
  const auto more = everyone().apply(go_on, 0);
  client().abort(some);
  REQUIRE(some.wait(test::limit));
  CHECK_FALSE(some.successful());
  client().abort();
  REQUIRE(client().wait(test::limit));
  CHECK(more.ready());
  CHECK(test::alive());
}
