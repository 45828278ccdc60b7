// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <boost/mpi.hpp>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;

namespace {

rv::LoadBalancedView isolated() { return balanced().with({.isolation = rv::process}); }

int twice(int n) { return 2 * n; }

struct Point {
  std::string name;
  std::vector<double> x;

  friend bool operator==(const Point&, const Point&) = default;
};

// Ways in which a task can end badly, and one in which it does not.
int end_as(const std::string& how) {
  if (how == "segv") {
    volatile int* nowhere = nullptr;
    return *nowhere;
  }
  if (how == "kill") std::raise(SIGKILL);
  if (how == "abort") std::abort();
  if (how == "exit") {
    std::fprintf(stderr, "nothing more to do\n");
    std::exit(3);
  }
  if (how == "_exit") _exit(4);
  if (how == "throw") throw std::domain_error("not that");
  if (how == "sleep") {
    for (;;) pause();
  }
  return 7;
}

// Takes memory until something happens.
int eat(double) {
  std::vector<std::vector<char>> all;
  for (;;) {
    all.emplace_back(4'000'000, 'x');
    std::this_thread::sleep_for(1ms);
  }
}

// Starts another process, says which by the file, and waits for ever.
int with_grandchild(const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) pause();
  }
  std::ofstream(path) << child << std::flush;
  for (;;) pause();
}

bool lives(pid_t process) { return ::kill(process, 0) == 0 || errno != ESRCH; }

bool ends(pid_t process) {
  for (const auto end = std::chrono::steady_clock::now() + test::limit; lives(process);) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

rv::TaskCrashed crash(const std::string& how, rv::Isolation isolation = rv::process) {
  const auto result = balanced().with({.isolation = isolation}).apply(end_as, how);
  return test::thrown<rv::TaskCrashed>([&] { result.get(test::limit); });
}

}  // namespace

TEST_CASE("an isolated task gets its arguments and gives its result") {
  CHECK(isolated().apply(twice, 21).get(test::limit) == 42);
  CHECK(isolated().map(twice, std::vector<int>{1, 2, 3}).get(test::limit) == std::vector<int>{2, 4, 6});
  const Point point{"here", {1, 2, 3}};
  CHECK(isolated().apply([](const Point& p) { return p; }, point).get(test::limit) == point);
  int factor = 6;
  CHECK(isolated().apply(rv::by_value([factor](int n) { return n * factor; }), 7).get(test::limit) == 42);
  isolated().apply([] {}).get(test::limit);
  CHECK(client()[0].with({.isolation = rv::process}).apply([] { return rv::this_engine::id(); }).get(test::limit) == 0);
  const auto ids = test::everyone().with({.isolation = rv::process}).apply([] { return rv::this_engine::id(); });
  CHECK(ids.get(test::limit) == client().ids());
}

TEST_CASE("each runs in a process of its own") {
  const auto where = [](int) { return static_cast<long>(getpid()); };
  std::vector<long> processes = client()[0].with({.isolation = rv::process}).map(where, std::vector<int>{0, 1, 2}).get(test::limit);
  processes.push_back(client()[0].apply(where, 0).get(test::limit));
  std::sort(processes.begin(), processes.end());
  CHECK(std::adjacent_find(processes.begin(), processes.end()) == processes.end());
}

TEST_CASE("arguments and results of any size") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, std::size_t{2'000'000}}) {
    std::vector<double> numbers(size);
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto back = isolated().apply([](std::vector<double> v) { return v; }, numbers);
    CHECK(back.get(test::limit) == numbers);
  }
  // Results of others, short and long.
  const auto made = balanced().apply([] { return std::vector<double>(100'000, 2.0); });
  CHECK(isolated().apply([](const std::vector<double>& v) { return v.size(); }, made).get(test::limit) == 100'000);
  const auto of_isolated = isolated().apply([] { return std::vector<double>(100'000, 3.0); });
  CHECK(balanced().apply([](const std::vector<double>& v) { return v.back(); }, of_isolated).get(test::limit) == 3.0);
}

TEST_CASE("however its process ends, that is its error, and the engines go on") {
  if (!test::sanitized) {
    // A sanitizer has handlers of its own, and ends the process in its way.
    const rv::TaskCrashed segv = crash("segv");
    CHECK(segv.signal() == SIGSEGV);
    CHECK(test::contains(segv.what(), "Segmentation fault"));
    CHECK(test::contains(segv.what(), "\n  at "));
    CHECK(test::contains(segv.what(), "end_as("));
    CHECK(segv.peak_memory() > 100'000);
    CHECK_FALSE(segv.host().empty());
    CHECK(crash("abort").signal() == SIGABRT);
    CHECK(test::contains(crash("segv", rv::fork).what(), "end_as("));
  }
  CHECK(crash("kill").signal() == SIGKILL);
  CHECK(crash("_exit").exit_status() == 4);
  const rv::TaskCrashed left = crash("exit");
  CHECK(left.signal() == 0);
  CHECK(test::contains(left.what(), "nothing more to do"));
  CHECK(test::contains(test::thrown<rv::RemoteError>([] { isolated().apply(end_as, "throw").get(test::limit); }).message(), "not that"));
  CHECK(isolated().apply(end_as, "well").get(test::limit) == 7);
  CHECK(test::alive());
}

TEST_CASE("of many tasks those that crash are told, and the others are right") {
  std::vector<std::string> ways;
  for (int i = 0; i < 40; ++i) ways.emplace_back(i % 10 == 3 ? "kill" : i % 10 == 6 ? "_exit" : i % 10 == 8 ? "throw" : "well");
  const auto results = isolated().map(end_as, ways);
  REQUIRE(results.wait(test::limit));
  for (std::size_t i = 0; i < ways.size(); ++i) {
    INFO(i << ' ' << ways[i]);
    if (ways[i] == "well") {
      CHECK(results[i] == 7);
    } else {
      CHECK_THROWS_AS(results[i], rv::RemoteError);
    }
  }
  CHECK(test::alive());
}

TEST_CASE("a task that takes too long is killed with all that it has started") {
  const test::Gate started;
  const auto result = balanced().with({.timeout = 500ms, .isolation = rv::process}).apply(with_grandchild, started.path());
  CHECK(test::contains(test::thrown<rv::TimeoutError>([&] { result.get(test::limit); }).what(), "0.5"));
  pid_t grandchild = 0;
  if (std::ifstream(started.path()) >> grandchild) CHECK(ends(grandchild));
  CHECK(test::alive());
  CHECK_THROWS_AS(balanced().with({.timeout = 100ms, .isolation = rv::fork}).apply(end_as, "sleep").get(test::limit), rv::TimeoutError);
  CHECK(test::alive());
}

TEST_CASE("what a task leaves behind ends with it") {
  const auto leave_one = [] {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) pause();
    }
    return static_cast<long>(child);
  };
  CHECK(ends(static_cast<pid_t>(isolated().apply(leave_one).get(test::limit))));
  const auto leave_daemon = [] {
    const pid_t child = ::fork();
    if (child == 0) {
      setsid();
      for (;;) pause();
    }
    return static_cast<long>(child);
  };
  CHECK(ends(static_cast<pid_t>(isolated().apply(leave_daemon).get(test::limit))));
}

TEST_CASE("a task that uses too much memory fails, and may use more the next time") {
  if (test::sanitized) return;
  const auto view = balanced().with({.timeout = 50s, .isolation = rv::process, .memory_limit = 100'000'000});
  const auto error = test::thrown<rv::TaskCrashed>([&] { view.apply(eat, 0.0).get(test::limit); });
  CHECK(error.peak_memory() > 100'000'000);
  CHECK(test::contains(error.what(), "memory_limit is 100 MB"));
  const auto some = [](std::size_t bytes) {
    const std::vector<char> memory(bytes, 'x');
    std::this_thread::sleep_for(200ms);
    return memory.size();
  };
  const std::size_t bytes = 150'000'000;
  CHECK_THROWS_AS(view.apply(some, bytes).get(test::limit), rv::TaskCrashed);
  CHECK(view.with({.retries = 1, .memory_growth = 2.0}).apply(some, bytes).get(test::limit) == bytes);
  CHECK(test::alive());
}

TEST_CASE("an isolated task that is aborted is told, and killed if it goes on") {
  const auto stops = [](const std::string& begun) {
    test::Gate::open(begun);
    while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    return 5;
  };
  const test::Gate first;
  const auto told = isolated().apply(stops, first.path());
  test::Gate::pass(first.path());
  told.abort();
  CHECK(told.get(test::limit) == 5);
  const auto goes_on = [](const std::string& begun) {
    test::Gate::open(begun);
    for (;;) pause();
  };
  const test::Gate second;
  const auto killed = isolated().apply(goes_on, second.path());
  test::Gate::pass(second.path());
  killed.abort();
  CHECK_THROWS_AS(killed.get(test::limit), rv::TaskAborted);
  CHECK(test::alive());
}

TEST_CASE("what an isolated task publishes is told while it runs") {
  const test::Gate gate;
  const auto result = isolated().apply(
      [](const std::string& path) {
        rv::this_task::publish("step", 3);
        rv::this_task::publish("long", std::string(100'000, 'x'));
        test::Gate::pass(path);
        return 1;
      },
      gate.path());
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (!result.data().contains("long") && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  CHECK_FALSE(result.ready());
  CHECK(result.data().get<int>("step") == 3);
  CHECK(result.data().get<std::string>("long").size() == 100'000);
  gate.open();
  CHECK(result.get(test::limit) == 1);
}

TEST_CASE("a task that crashed is tried again") {
  const test::Gate mark;
  const auto once = [](const std::string& path) {
    if (access(path.c_str(), F_OK) != 0) {
      test::Gate::open(path);
      std::raise(SIGKILL);
    }
    return 9;
  };
  CHECK(isolated().with({.retries = 1}).apply(once, mark.path()).get(test::limit) == 9);
}

TEST_CASE("a fork has its engine's variables, and what it changes is lost") {
  test::everyone().push_sync("count", 5);
  const auto view = client()[0].with({.isolation = rv::fork});
  const auto add = [] { return ++rv::this_engine::vars().get<int>("count"); };
  CHECK(view.apply(add).get(test::limit) == 6);
  CHECK(view.apply(add).get(test::limit) == 6);
  CHECK(client()[0].pull<int>("count").get(test::limit) == 5);
  CHECK(view.apply([](int n) { return n; }, rv::ref("count")).get(test::limit) == 5);
  CHECK(crash("kill", rv::fork).signal() == SIGKILL);
  CHECK_THROWS_AS(client()[0].with({.isolation = rv::process}).apply(add).get(test::limit), rv::NameError);
  CHECK(test::alive());
}

TEST_CASE("a task that does not stop talking is killed in time") {
  const auto result = balanced()
                          .with({.timeout = 300ms, .isolation = rv::process})
                          .apply(
                              [](int n) {
                                for (;;) rv::this_task::publish("n", n);
                              },
                              1);
  CHECK_THROWS_AS(result.get(test::limit), rv::TimeoutError);
}

TEST_CASE("who waits for all of its children waits for none of rankview's") {
  // MPI in a program that was started without mpirun has a child of its own.
  if (client()[0].apply([] { return static_cast<long>(getpid()); }).get(test::limit) == getpid()) return;
  const auto wait_for_all = [] {
    while (::wait(nullptr) > 0) continue;
    return errno == ECHILD;
  };
  CHECK(balanced().apply(wait_for_all).get(test::limit));
}

TEST_CASE("a fork whose end nobody can know has ended all the same") {
  const auto ignore = [](bool really) { std::signal(SIGCHLD, really ? SIG_IGN : SIG_DFL); };
  client()[0].apply(ignore, true).get(test::limit);
  const auto result = client()[0].with({.isolation = rv::fork}).apply(end_as, "kill");
  CHECK_THROWS_AS(result.get(test::limit), rv::TaskCrashed);
  client()[0].apply(ignore, false).get(test::limit);
  CHECK(test::alive());
}

TEST_CASE("what a fork begins with does not count against its memory_limit") {
  if (test::sanitized) return;
  client()[0].push_sync("much", std::vector<char>(300'000'000, 'x'));
  const auto view = client()[0].with({.isolation = rv::fork, .memory_limit = 100'000'000});
  const auto size = [] {
    std::this_thread::sleep_for(100ms);
    return rv::this_engine::vars().get<std::vector<char>>("much").size();
  };
  CHECK(view.apply(size).get(test::limit) == 300'000'000);
  CHECK_THROWS_AS(view.apply(eat, 0.0).get(test::limit), rv::TaskCrashed);
  client()[0].erase_sync("much");
}

TEST_CASE("what an isolated task cannot do is said") {
  const auto error = test::thrown<rv::RemoteError>(
      [] { isolated().apply([] { return rv::this_task::submit([] { return 1; }).get(); }).get(test::limit); });
  CHECK(test::contains(error.message(), "cannot submit"));
  CHECK_THROWS_AS(isolated().map_reduce(twice, std::plus<>(), std::vector<int>{1, 2}), rv::UsageError);
  CHECK_THROWS_AS(test::everyone().with({.isolation = rv::process}).apply([](const boost::mpi::communicator& c) { return c.rank(); }),
                  rv::UsageError);
  CHECK_THROWS_AS(balanced().with({.memory_limit = 1'000'000}).apply(twice, 1), rv::UsageError);
  CHECK_THROWS_AS(isolated().with({.memory_growth = 0.5}).apply(twice, 1), rv::UsageError);
}
