// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;

namespace {

// So many tasks, each of which waits for the next.
int nested(int n) { return n == 0 ? 0 : 1 + rv::this_task::submit(nested, n - 1).get(); }

long fibonacci(int n) {
  if (n < 2) return n;
  auto before = rv::this_task::submit(fibonacci, n - 1);
  const long last = fibonacci(n - 2);
  return before.get() + last;
}

std::vector<int> quicksort(std::vector<int> v) {
  if (v.size() < 500) {
    std::sort(v.begin(), v.end());
    return v;
  }
  const int pivot = v[v.size() / 2];
  const auto upper = std::partition(v.begin(), v.end(), [pivot](int x) { return x < pivot; });
  const auto above = std::partition(upper, v.end(), [pivot](int x) { return x == pivot; });
  auto right = rv::this_task::submit(quicksort, std::vector<int>(above, v.end()));
  std::vector<int> sorted = quicksort(std::vector<int>(v.begin(), upper));
  sorted.insert(sorted.end(), upper, above);
  const std::vector<int> rest = right.get();
  sorted.insert(sorted.end(), rest.begin(), rest.end());
  return sorted;
}

// Runs until it is told to stop, and says by one file that it has begun, by the other that it was told.
int until_stopped(const std::string& begun, const std::string& told) {
  test::Gate::open(begun);
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (!rv::this_task::stop_requested()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("nobody told it");
    std::this_thread::sleep_for(1ms);
  }
  test::Gate::open(told);
  return 1;
}

// Runs until the file is there.
int until_open(const std::string& awaited) {
  test::Gate::pass(awaited);
  return rv::this_task::stop_requested() ? 3 : 2;
}

}  // namespace

TEST_CASE("tasks fork and join") {
  CHECK(balanced().apply(fibonacci, 15).get(test::limit) == 610);
  std::vector<int> numbers(100'000);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::vector<int> shuffled = numbers;
  const std::uint32_t seed = test::seed("quicksort");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(seed));
  CHECK(balanced().apply(quicksort, shuffled).get(test::limit) == numbers);
  // Several at once, so that those that wait run parts of others.
  const auto several = balanced().map(fibonacci, std::vector<int>(10, 11));
  CHECK(several.get(test::limit) == std::vector<long>(10, 89));
  for (const auto& engine : client().queue_status().engines) CHECK(engine.handed_out == 0);
}

TEST_CASE("of many tasks that each wait for one, few are begun before others end") {
  const auto parent = [](int n) { return rv::this_task::submit([](int m) { return 2 * m; }, n).get(); };
  std::vector<int> numbers(3000);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::vector<int> doubled = numbers;
  for (int& number : doubled) number *= 2;
  CHECK(balanced().map(parent, numbers).get(test::limit) == doubled);
}

TEST_CASE("what a subtask throws reaches who waits for it") {
  const auto result = balanced().apply([] {
    auto failing = rv::this_task::submit(
        [](int n) {
          if (n > 3) throw std::domain_error("more than three");
          return n;
        },
        4);
    try {
      failing.get();
      return std::string("nothing was thrown");
    } catch (const rv::RemoteError& error) {
      return error.type_name() + ": " + error.message();
    }
  });
  CHECK(result.get(test::limit) == "std::domain_error: more than three");
  const auto through = balanced().apply([] { return rv::this_task::submit([]() -> int { throw std::domain_error("deep"); }).get(); });
  CHECK(test::contains(test::thrown<rv::RemoteError>([&] { through.get(test::limit); }).what(), "deep"));
}

TEST_CASE("tasks that are nested too deep for the stack fail, and their engine goes on") {
  if (test::engines() > 4) return;  // each would have to be filled
  CHECK(balanced().apply(nested, 100).get(test::limit) == 100);
  const auto error = test::thrown<rv::RemoteError>([] { balanced().apply(nested, 1'000'000).get(test::limit); });
  CHECK(test::contains(error.message(), "too deep"));
  REQUIRE(client().wait(test::limit));
  CHECK(balanced().apply(nested, 100).get(test::limit) == 100);
  CHECK(test::alive());
}

TEST_CASE("subtasks without a result, and those that nobody waits for") {
  test::everyone()["count"] = 0;
  const auto count = [](int by) { rv::this_engine::vars().get<int>("count") += by; };
  balanced()
      .apply(
          [](int n) {
            for (int i = 0; i < n; ++i) {
              auto done = rv::this_task::submit([](int by) { rv::this_engine::vars().get<int>("count") += by; }, 1);
              if (i % 2 == 0) done.get();
            }
          },
          20)
      .get(test::limit);
  REQUIRE(client().wait(test::limit));
  CHECK(test::everyone().reduce_sync<int>("count", std::plus<>()) == 20);
  balanced().apply(count, 1).get(test::limit);
  CHECK(balanced().apply([] { return rv::this_task::submit([] { return 5; }).get(); }).get(test::limit) == 5);
  CHECK_THROWS_AS(rv::this_task::submit([] { return 1; }), rv::UsageError);
  CHECK(test::alive());
}

TEST_CASE("a task that waits for a subtask can be given up") {
  test::Gate gate;
  const auto result = balanced().apply([](const std::string& path) { rv::this_task::submit(test::Gate::pass, path).get(); }, gate.path());
  CHECK_FALSE(result.wait(20ms));
  result.abort();
  gate.open();
  CHECK(result.wait(test::limit));
  CHECK(test::alive());
}

TEST_CASE("a stop callback, which runs in another thread than the task, cannot submit") {
  const test::Gate begun;
  const auto result = balanced().apply(
      [](const std::string& path) {
        std::atomic<int> seen{0};
        const std::stop_callback callback(rv::this_task::stop_token(), [&seen] {
          try {
            rv::this_task::submit([] { return 1; }).get();
            seen = 1;
          } catch (const rv::UsageError&) {
            seen = 2;
          }
        });
        test::Gate::open(path);
        const auto end = std::chrono::steady_clock::now() + test::limit;
        while (seen == 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
        return seen.load();
      },
      begun.path());
  test::Gate::pass(begun.path());
  result.abort();
  CHECK(result.get(test::limit) == 2);
}

TEST_CASE("a map_reduce whose tasks submit tasks") {
  CHECK(balanced().map_reduce(fibonacci, std::plus<>(), std::vector<int>(20, 8)).get(test::limit) == 20 * 21);
}

TEST_CASE("subtasks of an aborted task are told to stop") {
  const test::Gate begun;
  const test::Gate told;
  const auto parent = [](const std::string& start, const std::string& stop) {
    return rv::this_task::submit(until_stopped, start, stop).get();
  };
  const auto result = balanced().apply(parent, begun.path(), told.path());
  test::Gate::pass(begun.path());
  result.abort();
  REQUIRE(result.wait(test::limit));
  CHECK(result.get() == 1);
}

TEST_CASE("an item that is aborted takes its own subtasks along, not its neighbour's") {
  if (engines() < 2) return;  // the subtask that is not stopped would stand before the one that is
  const test::Gate begun;
  const test::Gate told;
  const test::Gate let_go;
  const auto either = [](const std::string& start, const std::string& stop, const std::string& gate) {
    return gate.empty() ? rv::this_task::submit(until_stopped, start, stop).get() : rv::this_task::submit(until_open, gate).get();
  };
  const auto both = balanced().map(either, std::vector<std::string>{begun.path(), ""}, std::vector<std::string>{told.path(), ""},
                                   std::vector<std::string>{"", let_go.path()});
  test::Gate::pass(begun.path());
  balanced().abort(both.task_ids()[0]);
  // Its own result may have to wait: whoever waits for a subtask runs those of others, the one that is held included.
  test::Gate::pass(told.path());
  CHECK_FALSE(both.ready());
  let_go.open();
  CHECK(both[0] == 1);
  CHECK(both[1] == 2);
}
