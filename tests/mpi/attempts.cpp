// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

// Fails the first few times that it is called on an engine.
int fails_first(int times) {
  int& calls = rv::this_engine::vars().get<int>("calls");
  if (++calls <= times) throw std::runtime_error("call " + std::to_string(calls));
  return rv::this_engine::id();
}

void until_stopped() {
  while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
}

}  // namespace

TEST_CASE("a task that throws is tried again, elsewhere first") {
  everyone()["calls"] = 0;
  const auto view = balanced().with({.retries = 2 * engines()});
  const auto result = view.apply(fails_first, 1);
  CHECK(result.get(test::limit) < engines());
  // Each engine has failed once before any was tried twice.
  const auto calls = everyone().pull_sync<int>("calls");
  CHECK(std::count(calls.begin(), calls.end(), 2) == 1);
  CHECK(std::count(calls.begin(), calls.end(), 1) == engines() - 1);
  CHECK(result.metadata().attempt == engines() + 1);
}

TEST_CASE("when retries are used up, all errors are told") {
  const auto failing = [](int n) {
    throw std::domain_error("item " + std::to_string(n) + " on engine " + std::to_string(rv::this_engine::id()));
    return n;
  };
  const auto result = balanced().with({.retries = 3}).apply(failing, 5);
  const auto error = test::thrown<rv::RemoteError>([&] { result.get(test::limit); });
  CHECK(error.type_name() == "std::domain_error");
  REQUIRE(error.earlier().size() == 3);
  for (const std::string& earlier : error.earlier()) CHECK(test::contains(earlier, "item 5 on engine"));
  CHECK(test::contains(error.what(), "attempt 3: "));
  const std::string text = error.what();
  CHECK(text.find("attempt 1: ") == text.rfind("attempt 1: "));
  for (const std::string& earlier : error.earlier()) CHECK_FALSE(test::contains(earlier, "attempt"));
  CHECK(result.metadata().attempt == 4);
  // Of a map, item by item.
  const auto odd = [](int n) {
    if (n % 2 == 1) throw std::domain_error("odd");
    return n;
  };
  const auto map = balanced().with({.chunksize = 3, .retries = 1}).map(odd, std::vector{0, 1, 2, 3, 4});
  const auto failures = test::thrown<rv::CompositeError>([&] { map.get(test::limit); });
  CHECK(failures.size() == 2);
  CHECK(map.metadata(1).attempt == 2);
  CHECK(map.metadata(2).attempt == 1);
}

TEST_CASE("an attempt that runs for too long is over") {
  const auto view = balanced();
  const auto start = std::chrono::steady_clock::now();
  const auto result = view.with({.timeout = 50ms}).apply(until_stopped);
  const auto error = test::thrown<rv::TimeoutError>([&] { result.get(test::limit); });
  CHECK(test::contains(error.what(), "longer than its timeout of 0.05"));
  CHECK(std::chrono::steady_clock::now() - start >= 50ms);
  CHECK(view.with({.timeout = 30s}).apply([] { return 5; }).get(test::limit) == 5);
  CHECK(test::alive());
}

TEST_CASE("who does not heed its timeout keeps its engine busy, and nobody else") {
  test::Gate gate;
  const auto stubborn = balanced()
                            .with({.timeout = 20ms})
                            .apply(
                                [](const std::string& path) {
                                  std::this_thread::sleep_for(40ms);
                                  test::Gate::pass(path);
                                },
                                gate.path());
  CHECK_THROWS_AS(stubborn.get(test::limit), rv::TimeoutError);
  const auto others = balanced().map([](int n) { return n; }, std::vector{1, 2, 3});
  if (engines() > 1) CHECK(others.get(test::limit) == std::vector{1, 2, 3});
  gate.open();
  CHECK(others.get(test::limit) == std::vector{1, 2, 3});
  CHECK(test::alive());
  for (const auto& engine : client().queue_status().engines) CHECK(engine.handed_out == 0);
}

TEST_CASE("an attempt that timed out is tried again") {
  everyone()["calls"] = 0;
  const auto slow_first = [] {
    if (++rv::this_engine::vars().get<int>("calls") == 1) until_stopped();
    return rv::this_engine::id();
  };
  const auto result = balanced().with({.retries = engines(), .timeout = 20ms}).apply(slow_first);
  CHECK(result.get(test::limit) >= 0);
  CHECK(result.metadata().attempt == engines() + 1);
  CHECK(test::alive());
}

TEST_CASE("tasks do not wait for longer than they may") {
  test::Gate gate;
  const auto busy = everyone().apply(test::Gate::pass, gate.path());
  const auto view = balanced().with({.hwm = 1});
  const auto waiting = view.with({.queue_timeout = 20ms, .hwm = 1}).map([](int n) { return n; }, std::vector{1, 2, 3});
  const auto dependent = balanced().with({.queue_timeout = 20ms, .after = busy}).apply([] { return 1; });
  const auto error = test::thrown<rv::CompositeError>([&] { waiting.get(test::limit); });
  REQUIRE(error.size() == 3);
  CHECK(test::contains(test::held<rv::TimeoutError>(error.failures()[0].error).what(), "queue_timeout"));
  CHECK_THROWS_AS(dependent.get(test::limit), rv::TimeoutError);
  gate.open();
  busy.wait(test::limit);
  CHECK(view.with({.queue_timeout = 30s}).apply([] { return 1; }).get(test::limit) == 1);
}

TEST_CASE("a task runs only where its predicate holds") {
  const auto on_last = [] { return rv::this_engine::id() == rv::this_engine::size() - 1; };
  const auto where = [](int) { return rv::this_engine::id(); };
  const auto result = balanced().with({.depend = on_last}).map(where, std::vector<int>(30));
  for (const int id : result.get(test::limit)) CHECK(id == engines() - 1);
  for (const auto& task : result.metadata_all()) CHECK(task.attempt == 1);
  const auto nowhere = balanced().with({.depend = [] { return false; }}).apply(where, 1);
  const auto error = test::thrown<rv::ImpossibleDependency>([&] { nowhere.get(test::limit); });
  CHECK(test::contains(error.what(), "refused"));
  CHECK(error.chain().empty());
  const auto throws = balanced().with({.depend = []() -> bool { throw std::runtime_error("cannot tell"); }}).apply(where, 1);
  CHECK(test::thrown<rv::RemoteError>([&] { throws.get(test::limit); }).message() == "cannot tell");
}

TEST_CASE("what has priority is handed out first") {
  test::Gate gate;
  const auto view = client().load_balanced_view(std::vector{0});
  everyone()["order"] = std::vector<int>();
  const auto note = [](int n) { rv::this_engine::vars().get<std::vector<int>>("order").push_back(n); };
  const auto busy = view.with({.hwm = 1}).apply(test::Gate::pass, gate.path());
  const auto low = view.with({.priority = -1, .hwm = 1}).apply(note, 3);
  const auto normal = view.with({.hwm = 1}).map(note, std::vector{1, 2});
  const auto high = view.with({.priority = 5, .hwm = 1}).apply(note, 0);
  gate.open();
  REQUIRE(client().wait(test::limit));
  CHECK(client()[0].pull_sync<std::vector<int>>("order") == std::vector{0, 1, 2, 3});
}

TEST_CASE("what waits behind a long task is given to who has nothing to do") {
  if (engines() < 2) return;
  // Learns that these are short, so that many are handed out together.
  const auto task = [](const std::string& path) {
    if (!path.empty()) test::Gate::pass(path);
    return rv::this_engine::id();
  };
  for (int i = 0; i < 3; ++i) balanced().map_sync(task, std::vector<std::string>(20'000));
  test::Gate gate;
  std::vector<std::string> paths(2000);
  paths[1000] = gate.path();
  const auto map = balanced().map(task, paths);
  // All but the one that is held up.
  for (const auto end = std::chrono::steady_clock::now() + test::limit; map.progress() < 1999;) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    map.wait(1ms);
  }
  CHECK_FALSE(map.ready());
  gate.open();
  CHECK(map.get(test::limit).size() == 2000);
  for (const auto& m : map.metadata_all()) CHECK(m.attempt == 1);
}

TEST_CASE("every policy runs everything") {
  for (const auto policy : {rv::Policy::least_load, rv::Policy::lru, rv::Policy::random, rv::Policy::two_bin, rv::Policy::weighted}) {
    std::vector<int> numbers(500);
    for (int i = 0; i < 500; ++i) numbers[static_cast<std::size_t>(i)] = i;
    CHECK(balanced().with({.hwm = 3, .policy = policy}).map([](int n) { return n; }, numbers).get(test::limit) == numbers);
  }
}

TEST_CASE("random histories of tasks end as they should", "[history]") {
  const std::uint32_t seed = test::seed("histories of tasks");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  everyone()["calls"] = 0;
  const auto task = [](int micros, int fate) {
    std::this_thread::sleep_for(std::chrono::microseconds(micros));
    if (fate == 1 || (fate == 2 && ++rv::this_engine::vars().get<int>("calls") % 2 == 1)) throw std::runtime_error("no luck");
    return fate;
  };
  struct Expected {
    rv::AsyncResult<int> result;
    bool may_succeed;
    bool may_fail;
  };
  std::vector<Expected> all;
  for (int i = 0; i < 400; ++i) {
    const int fate = static_cast<int>(random() % 8);
    rv::Flags flags;
    flags.priority = static_cast<int>(random() % 3);
    flags.retries = static_cast<int>(random() % 3);
    flags.hwm = static_cast<int>(random() % 3);
    flags.policy = static_cast<rv::Policy>(random() % 5);
    if (random() % 8 == 0) flags.depend = [] { return rv::this_engine::id() % 2 == 0; };
    bool may_succeed = fate != 1;
    bool may_fail = fate == 1 || fate == 2;
    if (!all.empty() && random() % 2 == 0) {
      const Expected& on = all[random() % all.size()];
      flags.after = on.result;
      may_succeed = may_succeed && on.may_succeed;
      may_fail = may_fail || on.may_fail;
    }
    const auto result = balanced().with(flags).apply(task, static_cast<int>(random() % 1000), fate);
    if (random() % 40 == 0) {
      result.abort();
      may_fail = true;
    }
    all.push_back({result, may_succeed, may_fail});
  }
  for (const Expected& expected : all) {
    REQUIRE(expected.result.wait(test::limit));
    if (expected.result.successful()) {
      CHECK(expected.may_succeed);
    } else {
      CHECK(expected.may_fail);
    }
  }
  CHECK(test::alive());
}

TEST_CASE("a view gives up what was submitted through it, and nothing else") {
  test::Gate gate;
  const auto busy = everyone().apply(test::Gate::pass, gate.path());
  const auto view = balanced();
  const auto other = balanced();
  const auto direct = client()[0];
  const auto given_up = view.with({.priority = 2, .hwm = 1}).map([](int n) { return n; }, std::vector{1, 2, 3});
  const auto kept = other.with({.hwm = 1}).map([](int n) { return n; }, std::vector{1, 2, 3});
  const auto kept_direct = client()[0].apply([] { return 1; });
  const auto dropped_direct = direct.apply(until_stopped);
  view.abort();
  direct.abort();
  CHECK_THROWS_AS(given_up.get(test::limit), rv::CompositeError);
  gate.open();
  // It may have begun before its engine heard of it, and then sees it.
  CHECK(dropped_direct.wait(test::limit));
  CHECK(kept.get(test::limit) == std::vector{1, 2, 3});
  CHECK(kept_direct.get(test::limit) == 1);
  busy.get(test::limit);
}
