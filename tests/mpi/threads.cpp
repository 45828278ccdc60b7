// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <atomic>
#include <functional>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

// Catch's checks are for one thread: the others note what went wrong.
class Threads {
 public:
  Threads(int count, const std::function<void(int)>& body) {
    for (int k = 0; k < count; ++k) {
      threads_.emplace_back([this, k, body] {
        try {
          body(k);
        } catch (const std::exception& error) {
          note("thread " + std::to_string(k) + ": " + error.what());
        } catch (...) {
          note("thread " + std::to_string(k) + ": something else");
        }
      });
    }
  }

  // What was noted, after the last has ended.
  std::string join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return notes_;
  }

 private:
  void note(const std::string& text) {
    const std::lock_guard lock(mutex_);
    notes_ += text + "\n";
  }

  std::mutex mutex_;
  std::string notes_;
  std::vector<std::thread> threads_;
};

void want(bool right, const char* what) {
  if (!right) throw std::logic_error(what);
}

}  // namespace

TEST_CASE("several threads use views at once") {
  constexpr int threads = 6;
  constexpr int rounds = 40;
  const rv::DirectView all = everyone();
  const rv::LoadBalancedView pool = balanced();
  Threads running(threads, [&](int k) {
    const std::string name = "of thread " + std::to_string(k);
    const rv::EngineView own = client()[k % engines()];
    for (int round = 0; round < rounds; ++round) {
      const int number = 1000 * k + round;
      want(own.apply_sync([](int n) { return n + 1; }, number) == number + 1, "apply on one");
      all[name] = number;
      want(all[name].get<int>() == std::vector<int>(all.size(), number), "push and pull");
      const auto doubled = pool.map_sync([](int n) { return 2 * n; }, std::vector{number, number + 1, number + 2});
      want(doubled == std::vector{2 * number, 2 * number + 2, 2 * number + 4}, "balanced map");
      const auto later = pool.map([](int n) { return 3 * n; }, std::vector{number, k});
      want(all.map_sync([](int n) { return -n; }, std::vector{number}) == std::vector{-number}, "direct map");
      want(later.get(test::limit) == std::vector{3 * number, 3 * k}, "balanced map, later");
      const std::vector<double> values(5000 + static_cast<std::size_t>(round), number);
      want(own.apply([](const std::vector<double>& v) { return v; }, values).get(test::limit) == values, "long values");
      try {
        own.apply_sync([](int n) { throw n; }, number);
        want(false, "an error");
      } catch (const rv::RemoteError& error) {
        want(error.message() == std::to_string(number), "its own error");
      }
    }
  });
  CHECK(running.join().empty());
  everyone().clear_sync();
}

TEST_CASE("several threads wait for the same result") {
  const test::Gate gate;
  std::vector<std::string> paths(50);
  paths[20] = gate.path();
  const auto result = balanced().map(
      [](const std::string& path, int n) {
        if (!path.empty()) test::Gate::pass(path);
        return n;
      },
      paths, std::views::iota(0));
  std::vector<int> wanted(50);
  std::iota(wanted.begin(), wanted.end(), 0);
  Threads running(6, [&](int k) {
    if (k == 0) {
      want(*result.begin() == 0, "the first element");
      gate.open();
    }
    if (k % 3 == 0) want(result.get(test::limit) == wanted, "get");
    if (k % 3 == 1) want(std::vector<int>(result.begin(), result.end()) == wanted, "iteration");
    if (k % 3 == 2) {
      int sum = 0;
      for (const auto& [index, value] : result.as_completed()) sum += value;
      want(sum == 49 * 50 / 2, "as_completed");
    }
  });
  CHECK(running.join().empty());
}

TEST_CASE("threads that only wait do not stop one another") {
  const test::Gate gate;
  const auto held = client()[0].apply([](const std::string& path) { test::Gate::pass(path); }, gate.path());
  std::atomic<int> waiting = 0;
  Threads running(3, [&](int) {
    ++waiting;
    want(held.wait(test::limit), "the end of the wait");
  });
  while (waiting != 3) std::this_thread::yield();
  // This one waits beside them, and not for the same.
  CHECK(client()[-1].apply([] { return 1; }).wait(engines() > 1 ? test::limit : 10ms) == (engines() > 1));
  CHECK_FALSE(held.ready());
  gate.open();
  CHECK(running.join().empty());
}

TEST_CASE("threads submit many single tasks") {
  std::atomic<long> sum = 0;
  Threads running(4, [&](int k) {
    std::vector<rv::AsyncResult<int>> results;
    for (int n = 0; n < 500; ++n) results.push_back(balanced().apply([](int a, int b) { return a + b; }, n, k));
    for (const auto& result : results) sum += result.get(test::limit);
  });
  CHECK(running.join().empty());
  CHECK(sum == 4L * (499 * 500 / 2) + 500 * (0 + 1 + 2 + 3));
}

TEST_CASE("results are dropped in other threads than those that made them") {
  const test::Gate gate;
  std::vector<rv::AsyncResult<std::vector<int>>> results;
  for (int i = 0; i < 40; ++i) results.push_back(everyone().apply([](int n) { return n; }, i));
  Threads running(4, [&](int k) {
    for (std::size_t i = static_cast<std::size_t>(k); i < results.size(); i += 4) results[i] = {};
  });
  CHECK(running.join().empty());
  CHECK(client().wait(test::limit));
  CHECK(test::alive());
}
