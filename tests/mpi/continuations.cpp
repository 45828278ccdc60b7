// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

int pass(const std::string& path, int n) {
  test::Gate::pass(path);
  return n;
}

int negative_fails(int n) {
  if (n < 0) throw std::runtime_error("negative: " + std::to_string(n));
  return n;
}

int whose_id() { return rv::this_engine::id(); }

// The value, at most `test::limit` from now.
template <class T>
decltype(auto) soon(const rv::AsyncResult<T>& result) {
  return result.get(test::limit);
}

}  // namespace

TEST_CASE("a continuation runs while the client makes call after call") {
  std::atomic<bool> called{false};
  const auto first = balanced().apply([] { std::this_thread::sleep_for(20ms); });
  const auto then = first.then([&called] { called = true; });
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (!called && std::chrono::steady_clock::now() < end) static_cast<void>(balanced().apply([] { return 1; }));
  CHECK(called);
  client().wait(test::limit);
}

TEST_CASE("continuations: then takes the value and gives a result") {
  const test::Gate gate;
  const auto parent = client()[0].apply(pass, gate.path(), 3);
  const auto child = parent.then([](const int& n) { return std::to_string(n) + "!"; });
  static_assert(std::is_same_v<decltype(child), const rv::AsyncResult<std::string>>);
  CHECK_FALSE(child.ready());
  CHECK_THROWS_AS(child.get(0s), rv::TimeoutError);
  CHECK(child.size() == 1);
  gate.open();
  CHECK(soon(child) == "3!");
  CHECK(child.ready());
  CHECK(child.successful());
  CHECK(child.progress() == 1);
  CHECK(child.metadata().engine == -1);
  CHECK(child.metadata().status == rv::Status::completed);
  CHECK(child.metadata().received >= child.metadata().submitted);
  CHECK(parent.get() == 3);
}

TEST_CASE("continuations: chains, of maps and of tasks without results") {
  const auto sum = balanced()
                       .map([](int n) { return n * n; }, std::views::iota(0, 50))
                       .then([](const std::vector<int>& squares) {
                         long total = 0;
                         for (const int n : squares) total += n;
                         return total;
                       })
                       .then([](long total) {
                         return std::vector{total, -total};
                       });
  CHECK(soon(sum) == std::vector{40'425L, -40'425L});
  std::vector<long> elements;
  for (const long n : sum) elements.push_back(n);
  CHECK(elements == std::vector{40'425L, -40'425L});
  int called = 0;
  const auto nothing = everyone().apply([] {}).then([&called] { ++called; });
  static_assert(std::is_same_v<decltype(nothing), const rv::AsyncResult<void>>);
  nothing.get(test::limit);
  CHECK(called == 1);
  const auto flag = balanced().apply([] { return 1; }).then([](const auto& n) { return n == 1; });
  CHECK(soon(flag));
}

TEST_CASE("continuations: a failed parent fails the child, and what takes the result is called all the same") {
  test::Stderr captured;
  bool called = false;
  const auto failed = balanced().apply(negative_fails, -1);
  const auto child = failed.then([&called](int) { called = true; });
  const auto grandchild = child.then([&called] { called = true; });
  CHECK(test::thrown<rv::RemoteError>([&] { child.get(test::limit); }).message() == "negative: -1");
  CHECK(test::thrown<rv::RemoteError>([&] { grandchild.get(test::limit); }).message() == "negative: -1");
  CHECK_FALSE(called);
  CHECK_FALSE(child.successful());
  CHECK(child.metadata().status == rv::Status::failed);
  CHECK(test::contains(child.metadata().error, "negative: -1"));
  const auto looks = failed.then([](const rv::AsyncResult<int>& result) { return result.ready() && !result.successful(); });
  CHECK(soon(looks));
  const auto map = balanced().map(negative_fails, std::vector{1, -2, 3});
  const auto good = map.then([](const rv::AsyncResult<std::vector<int>>& result) {
    int count = 0;
    for (const auto& outcome : result.results()) count += outcome.has_value() ? 1 : 0;
    return count;
  });
  CHECK(soon(good) == 2);
  CHECK_THROWS_AS(map.then([](const std::vector<int>&) { return 0; }).get(test::limit), rv::CompositeError);
  CHECK(captured.text().empty());
}

TEST_CASE("continuations: what they throw is the child's error, as it is") {
  struct Odd {
    int value;
  };
  const auto child = balanced().apply([] { return 5; }).then([](int n) -> int { throw Odd{n}; });
  REQUIRE(child.wait(test::limit));
  try {
    child.get();
    FAIL("nothing was thrown");
  } catch (const Odd& odd) {
    CHECK(odd.value == 5);
  }
  CHECK(child.results()[0].error() != nullptr);
  test::Stderr captured;
  static_cast<void>(balanced().apply([] { return 5; }).then([](int) { throw std::runtime_error("nobody looks"); }));
  CHECK(client().wait(test::limit));
  CHECK(test::contains(captured.text(), "nobody looks"));
}

TEST_CASE("continuations: on what is done already they run at once, in the caller") {
  const auto parent = balanced().apply([] { return 2; });
  parent.wait();
  std::thread::id ran;
  const auto child = parent.then([&ran](int n) {
    ran = std::this_thread::get_id();
    return n + 1;
  });
  CHECK(ran == std::this_thread::get_id());
  CHECK(child.ready());
  CHECK(child.get(0s) == 3);
}

TEST_CASE("continuations: many on one parent, each once") {
  const test::Gate gate;
  const auto parent = client()[0].apply(pass, gate.path(), 1);
  std::atomic<int> called = 0;
  std::vector<rv::AsyncResult<int>> children;
  for (int k = 0; k < 100; ++k) {
    children.push_back(parent.then([&called, k](int n) {
      ++called;
      return n + k;
    }));
  }
  gate.open();
  for (int k = 0; k < 100; ++k) CHECK(soon(children[static_cast<std::size_t>(k)]) == k + 1);
  CHECK(called == 100);
}

TEST_CASE("continuations: values of any type, and nothing that is left over") {
  const auto handle = balanced().apply([] { return 4; }).then([](int n) { return std::make_shared<std::atomic<int>>(n); });
  CHECK(*soon(handle) == 4);
  auto only = balanced().apply([] { return 4; }).then([](int n) { return std::make_unique<int>(n); });
  REQUIRE(only.wait(test::limit));
  const std::unique_ptr<int> value = std::move(only).get();
  CHECK(*value == 4);
  // What a continuation holds goes with it.
  const auto held = std::make_shared<int>(1);
  for (int k = 0; k < 20; ++k) static_cast<void>(balanced().apply([] { return 4; }).then([held](int n) { return *held + n; }));
  CHECK(client().wait(test::limit));
  CHECK(held.use_count() == 1);
  // Handles within a value.
  {
    const auto inner = balanced().apply([] { return 4; });
    static_cast<void>(balanced().apply([] { return 1; }).then([inner](int) { return std::vector{inner}; }));
  }
  CHECK(client().wait(test::limit));
}

TEST_CASE("continuations: they may use the library, and wait for tasks") {
  std::vector<rv::AsyncResult<int>> children;
  for (int k = 0; k < 200; ++k) {
    children.push_back(balanced().apply([](int n) { return n; }, k).then([](int n) {
      const int doubled = balanced().apply_sync([](int m) { return 2 * m; }, n);
      return doubled + client()[0].apply([] { return 1; }).get(test::limit);
    }));
  }
  for (int k = 0; k < 200; ++k) CHECK(soon(children[static_cast<std::size_t>(k)]) == 2 * k + 1);
  // Also for one that is due behind it.
  const test::Gate gate;
  const auto parent = client()[0].apply(pass, gate.path(), 1);
  rv::AsyncResult<int> later;
  const auto first = parent.then([&later](int n) { return n + later.get(test::limit); });
  later = parent.then([](int n) { return 10 * n; });
  gate.open();
  CHECK(soon(first) == 11);
}

TEST_CASE("continuations: nothing hangs when a parent or a child is given up") {
  const test::Gate gate;
  const auto blockers = balanced().map(pass, std::vector(std::size_t{5000}, gate.path()), std::views::iota(0));
  bool called = false;
  SECTION("the parent") {
    const auto parent = balanced().apply([] { return 1; });
    const auto child = parent.then([&called](int) { called = true; });
    const auto both = rv::when_all(parent, child);
    parent.abort();
    CHECK_THROWS_AS(child.get(test::limit), rv::TaskAborted);
    CHECK_THROWS_AS(both.get(test::limit), rv::TaskAborted);
  }
  SECTION("the child") {
    const auto parent = balanced().apply([] { return 1; });
    const auto child = parent.then([&called](int) { called = true; });
    const auto grandchild = child.then([&called] { called = true; });
    child.abort();
    CHECK(child.ready());
    CHECK_THROWS_AS(child.get(0s), rv::TaskAborted);
    CHECK_THROWS_AS(grandchild.get(test::limit), rv::TaskAborted);
    gate.open();
    CHECK(soon(parent) == 1);
  }
  SECTION("everything") {
    const auto child = balanced().apply([] { return 1; }).then([&called](int) { called = true; });
    client().abort();
    CHECK_THROWS_AS(child.get(test::limit), rv::TaskAborted);
  }
  gate.open();
  CHECK(client().wait(test::limit));
  static_cast<void>(blockers.wait(test::limit));
  blockers.abort();
  CHECK_FALSE(called);
  CHECK(test::alive());
}

TEST_CASE("continuations: the client's waiting runs those that nobody keeps") {
  std::atomic<int> called = 0;
  for (int k = 0; k < 50; ++k) {
    static_cast<void>(everyone().apply([](int n) { return n; }, k).then([&called](const std::vector<int>&) { ++called; }));
  }
  CHECK(client().wait(test::limit));
  CHECK(called == 50);
}

TEST_CASE("continuations: several threads make them and wait") {
  std::atomic<long> sum = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&, k] {
      std::vector<rv::AsyncResult<int>> children;
      for (int n = 0; n < 200; ++n) {
        auto parent = balanced().apply([](int a) { return a; }, n);
        children.push_back(parent.then([](int a) { return a + 1; }).then([&sum](int a) {
          sum += a;
          return a + 1;
        }));
        if (n % 10 == k) wrong += soon(rv::when_all(parent, children.back())) == std::tuple(n, n + 2) ? 0 : 1;
      }
      for (int n = 0; n < 200; ++n) wrong += soon(children[static_cast<std::size_t>(n)]) == n + 2 ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(sum == 4L * (199 * 200 / 2 + 200));
}

TEST_CASE("when_all of results of several types") {
  const test::Gate gate;
  const auto slow = client()[0].apply(pass, gate.path(), 3);
  const auto all = rv::when_all(slow, balanced().apply([] { return std::string("text"); }), everyone().apply([] {}),
                                balanced().map([](int n) { return -n; }, std::vector{1, 2}));
  static_assert(std::is_same_v<decltype(all), const rv::AsyncResult<std::tuple<int, std::string, std::monostate, std::vector<int>>>>);
  CHECK_FALSE(all.ready());
  gate.open();
  CHECK(soon(all) == std::tuple(3, std::string("text"), std::monostate(), std::vector{-1, -2}));
  // Values that can only be moved, and that are there already.
  auto only = balanced().apply([] { return std::make_unique<int>(5); });
  only.wait();
  auto moved = rv::when_all(std::move(only), slow);
  CHECK(moved.ready());
  CHECK(*std::get<0>(moved.get(0s)) == 5);
  CHECK_THROWS_AS(rv::when_all(slow, rv::AsyncResult<int>()), rv::UsageError);
}

TEST_CASE("when_all waits for all, and its error is the first in order") {
  test::Stderr captured;
  const test::Gate gate;
  const auto slow = client()[-1].apply(
      [](const std::string& path) {
        test::Gate::pass(path);
        throw std::runtime_error("slow");
      },
      gate.path());
  const auto fast = balanced().apply(negative_fails, -1);
  if (engines() > 1) {
    const auto good = client()[0].apply(negative_fails, 1);
    REQUIRE(good.wait(test::limit));
  }
  {
    const auto all = rv::when_all(balanced().apply(negative_fails, 1), slow, fast);
    CHECK_FALSE(all.ready());
    gate.open();
    CHECK(test::thrown<rv::RemoteError>([&] { all.get(test::limit); }).message() == "slow");
  }
  CHECK(captured.text().empty());
}

TEST_CASE("when_all of a list") {
  std::vector<rv::AsyncResult<int>> results;
  for (int n = 0; n < 30; ++n) results.push_back(balanced().apply(negative_fails, n));
  const auto all = rv::when_all(results);
  static_assert(std::is_same_v<decltype(all), const rv::AsyncResult<std::vector<int>>>);
  const std::vector<int> values = soon(all);
  REQUIRE(values.size() == 30);
  for (int n = 0; n < 30; ++n) CHECK(values[static_cast<std::size_t>(n)] == n);
  results[7] = balanced().apply(negative_fails, -7);
  results[9] = balanced().apply(negative_fails, -9);
  const auto some = rv::when_all(std::move(results));
  const auto error = test::thrown<rv::CompositeError>([&] { some.get(test::limit); });
  REQUIRE(error.size() == 2);
  CHECK(error.failures()[0].index == 7);
  CHECK(test::held<rv::RemoteError>(error.failures()[1].error).message() == "negative: -9");

  const auto none = rv::when_all(std::vector<rv::AsyncResult<int>>());
  CHECK(none.ready());
  CHECK(none.get(0s).empty());
  rv::when_all(std::vector{everyone().apply([] {}), everyone().apply([] {})}).get(test::limit);
}

// ---- coroutines --------------------------------------------------------------------------------------------------------------

namespace {

rv::Task<int> added(int a, int b) {
  const int first = co_await balanced().apply(negative_fails, a);
  const int second = co_await balanced().apply(negative_fails, b);
  co_return first + second;
}

rv::Task<std::string> described(std::vector<int> numbers) {
  std::string text;
  for (const int n : numbers) text += std::to_string(co_await added(n, n)) + " ";
  const auto map = balanced().map(negative_fails, numbers);
  const std::vector<int>& kept = co_await map;
  const auto [five, nothing] = co_await rv::when_all(balanced().apply(negative_fails, 5), everyone().apply([] {}));
  co_return text + std::to_string(kept.size()) + " " + std::to_string(five);
}

rv::Task<> note(std::vector<int>& notes, rv::AsyncResult<int> result) { notes.push_back(co_await result); }

rv::Task<int> caught(int n) {
  try {
    co_return co_await balanced().apply(negative_fails, n);
  } catch (const rv::RemoteError&) {
  }
  co_return co_await balanced().apply([] { return 1000; });
}

// A coroutine type of somebody else's: begins at once, and nobody can ask how it ended.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Detached count(std::atomic<int>& counter, rv::AsyncResult<int> result) { counter += co_await result; }

}  // namespace

TEST_CASE("coroutines wait for results on rank 0") {
  CHECK(soon(added(3, 4).result()) == 7);
  const rv::Task<std::string> task = described({1, 2, 3});
  REQUIRE(task.wait(test::limit));
  CHECK(task.ready());
  CHECK(task.get() == "2 4 6 3 5");
  CHECK(described({}).get() == "0 5");
  std::vector<rv::Task<int>> many;
  for (int n = 0; n < 200; ++n) many.push_back(added(n, 1));
  for (int n = 0; n < 200; ++n) CHECK(soon(many[static_cast<std::size_t>(n)].result()) == n + 1);
}

TEST_CASE("coroutines begin at once and go on when the result is there") {
  const test::Gate gate;
  std::vector<int> notes;
  const auto task = note(notes, client()[0].apply(pass, gate.path(), 3));
  CHECK_FALSE(task.ready());
  gate.open();
  REQUIRE(task.wait(test::limit));
  task.get();
  CHECK(notes == std::vector{3});
  // One that has nothing to wait for has ended when it is made.
  const auto parent = balanced().apply([] { return 4; });
  parent.wait();
  CHECK(note(notes, parent).ready());
  CHECK(notes == std::vector{3, 4});
}

TEST_CASE("coroutines: errors") {
  CHECK(test::thrown<rv::RemoteError>([] { soon(added(1, -2).result()); }).message() == "negative: -2");
  CHECK(soon(caught(-1).result()) == 1000);
  CHECK(soon(caught(1).result()) == 1);
  const auto thrower = [](int n) -> rv::Task<int> {
    if (n == 0) throw std::logic_error("before it waits");
    co_return co_await added(n, n);
  };
  CHECK(test::thrown<std::logic_error>([&] { soon(thrower(0).result()); }).what() == std::string("before it waits"));
  const test::Gate gate;
  const auto blockers = balanced().map(pass, std::vector(std::size_t{5000}, gate.path()), std::views::iota(0));
  const auto waiting = added(1, 2);
  client().abort();
  CHECK_THROWS_AS(soon(waiting.result()), rv::TaskAborted);
  gate.open();
  CHECK(client().wait(test::limit));
}

TEST_CASE("coroutines that nobody keeps run to their end, of other types as well") {
  std::vector<int> notes;
  static_cast<void>(note(notes, balanced().apply([] { return 8; })));
  std::atomic<int> counter = 0;
  for (int k = 0; k < 20; ++k) count(counter, balanced().apply([] { return 1; }));
  CHECK(client().wait(test::limit));
  CHECK(notes == std::vector{8});
  CHECK(counter == 20);
}

TEST_CASE("coroutines: many in a row do not pile up") {
  const auto loop = [](int rounds) -> rv::Task<long> {
    long sum = 0;
    const auto ready = balanced().apply([] { return 1; });
    for (int i = 0; i < rounds; ++i) sum += co_await ready;
    for (int i = 0; i < 300; ++i) sum += co_await balanced().apply([] { return 1; });
    co_return sum;
  };
  CHECK(soon(loop(100'000).result()) == 100'300);
}

TEST_CASE("who waits for everything in a continuation would wait for itself") {
  const auto refused = [] {
    try {
      client().wait();
    } catch (const rv::UsageError& error) {
      return test::contains(error.what(), "would wait for that itself") && test::contains(error.what(), "wait(results...)");
    }
    return false;
  };
  const auto refused_soon = [] {
    try {
      client().wait(test::limit);
    } catch (const rv::UsageError&) {
      return true;
    }
    return false;
  };
  const auto done = balanced().apply(negative_fails, 1);
  done.wait(test::limit);
  // Run by who drives, where it is made, and within another.
  test::Gate gate;
  const auto later = balanced().apply(pass, gate.path(), 1).then([&](int) { return refused() && refused_soon(); });
  gate.open();
  CHECK(soon(later));
  CHECK(soon(done.then([&](int) { return refused(); })));
  CHECK(soon(done.then([&](int) { return done.then([&](int) { return refused(); }).get() && refused(); })));
  // It may wait for what it needs.
  const auto needs = done.then([&](int n) {
    const auto other = balanced().apply(negative_fails, n + 1);
    client().wait(other);
    return other.get();
  });
  CHECK(soon(needs) == 2);
  client().wait();
}

namespace {

int pass_on(int n) { return n; }

rv::Task<bool> wait_for_everything(bool at_once, const std::function<bool()>& refused) {
  if (!at_once) co_await client()[0].apply(whose_id);
  co_return refused();
}

}  // namespace

TEST_CASE("who waits for everything in a coroutine would wait for itself") {
  const std::function<bool()> refused = [] {
    try {
      client().wait();
    } catch (const rv::UsageError&) {
      return true;
    }
    return false;
  };
  CHECK(soon(wait_for_everything(true, refused).result()));
  CHECK(soon(wait_for_everything(false, refused).result()));
  // Also one that has awaited what was there already, and so was never suspended.
  const auto there = balanced().apply(pass_on, 1);
  REQUIRE(there.wait(test::limit));
  CHECK(soon([](const auto& awaited, const auto& asks) -> rv::Task<bool> {
    co_await awaited;
    co_return asks();
  }(there, refused)
                                                              .result()));
  // While it is suspended, its maker may.
  test::Gate gate;
  const auto suspended = [](const std::string& path) -> rv::Task<int> { co_return co_await balanced().apply(pass, path, 7); }(gate.path());
  gate.open();
  client().wait();
  CHECK(suspended.ready());
  CHECK(soon(suspended.result()) == 7);
}
