// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::engines;

// Where engines have three slots (RANKVIEW_SLOTS=3).
namespace {

constexpr int slots = 3;

rv::LoadBalancedView isolated() { return balanced().with({.isolation = rv::process}); }

// A directory in which tasks see each other.
class Meeting {
 public:
  Meeting() : path_(std::filesystem::temp_directory_path() / ("rankview-meeting-" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directory(path_);
  }
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;
  ~Meeting() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Is there from here on, with the room that it takes on this engine, until it goes.
class Present {
 public:
  Present(const std::string& meeting, int width)
      : path_(meeting + "/" + std::to_string(rv::this_engine::id()) + "." + std::to_string(width) + "." + std::to_string(getpid())) {
    std::ofstream(path_).flush();
  }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;
  ~Present() { std::filesystem::remove(path_); }

 private:
  std::string path_;
};

int present(const std::string& meeting) {
  int count = 0;
  for (const auto& each : std::filesystem::directory_iterator(meeting)) {
    static_cast<void>(each);
    ++count;
  }
  return count;
}

// How much of this engine those that are there take.
int taken_here(const std::string& meeting) {
  int sum = 0;
  const std::string own = std::to_string(rv::this_engine::id()) + ".";
  for (const auto& each : std::filesystem::directory_iterator(meeting)) {
    const std::string name = each.path().filename();
    if (name.starts_with(own)) sum += std::stoi(name.substr(own.size()));
  }
  return sum;
}

// Waits until so many are there.
int meet(const std::string& meeting, int count) {
  const std::string mark = meeting + "/" + std::to_string(getpid());
  std::ofstream(mark).flush();
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (present(meeting) < count) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("too few came");
    std::this_thread::sleep_for(1ms);
  }
  return rv::this_engine::id();
}

// The most that is taken while it is there for a moment.
int watch(const std::string& meeting, int width) {
  const Present present(meeting, width);
  int most = 0;
  for (int i = 0; i < 5; ++i) {
    most = std::max(most, taken_here(meeting));
    std::this_thread::sleep_for(1ms);
  }
  return most;
}

int twice(int n) { return 2 * n; }

}  // namespace

TEST_CASE("isolated tasks run side by side", "[.slots]") {
  const Meeting meeting;
  const int together = slots * engines();
  const auto ids = isolated().map(meet, std::vector<std::string>(static_cast<std::size_t>(together), meeting.path()),
                                  std::vector<int>(static_cast<std::size_t>(together), together));
  for (const int id : client().ids()) {
    const std::vector<int> ran = ids.get(test::limit);
    CHECK(std::count(ran.begin(), ran.end(), id) == slots);
  }
}

TEST_CASE("forks do, and what is for one engine", "[.slots]") {
  const Meeting meeting;
  const auto view = client()[0].with({.isolation = rv::fork});
  const auto ids = view.map(meet, std::vector<std::string>(slots, meeting.path()), std::vector<int>(slots, slots));
  CHECK(ids.get(test::limit) == std::vector<int>(slots, 0));
}

TEST_CASE("no engine runs more than it has slots for", "[.slots]") {
  const Meeting meeting;
  std::vector<rv::AsyncResult<int>> results;
  for (int i = 0; i < 60; ++i) {
    const int width = i % 7 == 0 ? 3 : i % 3 == 0 ? 2 : 1;
    results.push_back(
        isolated().with({.policy = i % 2 == 0 ? rv::pack : rv::Policy::least_load, .slots = width}).apply(watch, meeting.path(), width));
  }
  int most = 0;
  for (const auto& result : results) most = std::max(most, result.get(test::limit));
  CHECK(most <= slots);
  CHECK(most > 1);
}

TEST_CASE("a task in the engine's own process has it for itself", "[.slots]") {
  const Meeting meeting;
  std::vector<rv::AsyncResult<int>> beside;
  std::vector<rv::AsyncResult<int>> alone;
  for (int i = 0; i < 30; ++i) {
    beside.push_back(isolated().apply(watch, meeting.path(), 1));
    if (i % 3 == 0) alone.push_back(balanced().apply(watch, meeting.path(), 10));
    if (i % 10 == 0) alone.push_back(client()[0].apply(watch, meeting.path(), 10));
  }
  for (const auto& result : beside) CHECK(result.get(test::limit) <= slots);
  for (const auto& result : alone) CHECK(result.get(test::limit) == 10);
  // So have what engines run together.
  test::everyone().scatter_sync("x", std::vector<int>{1, 2, 3});
  const auto more = isolated().map(watch, std::vector<std::string>(20, meeting.path()), std::vector<int>(20, 1));
  CHECK(test::everyone().gather<int>("x").get(test::limit) == std::vector<int>{1, 2, 3});
  CHECK(more.wait(test::limit));
}

TEST_CASE("what needs more slots than there are is refused", "[.slots]") {
  const auto error = test::thrown<rv::UsageError>([] { isolated().with({.slots = slots + 1}).apply(twice, 1); });
  CHECK(test::contains(error.what(), "takes 4 slots"));
  CHECK(test::contains(error.what(), "RANKVIEW_SLOTS"));
  CHECK_THROWS_AS(isolated().with({.slots = 0}).apply(twice, 1), rv::UsageError);
  CHECK_THROWS_AS(client()[0].with({.isolation = rv::process, .slots = slots + 1}).map(twice, std::vector<int>{1}), rv::UsageError);
  // What is not isolated takes all of an engine whatever it says.
  CHECK(balanced().with({.slots = slots + 1}).apply(twice, 1).get(test::limit) == 2);
}

TEST_CASE("of tasks side by side those that fail are told, and the others are right", "[.slots]") {
  const auto f = [](int i) {
    if (i % 10 == 1) std::raise(SIGKILL);
    if (i % 10 == 3) throw std::domain_error("not that");
    if (i % 20 == 5) {
      for (;;) pause();
    }
    return std::vector<double>(static_cast<std::size_t>(i) * 1000, i);
  };
  std::vector<int> items(60);
  std::iota(items.begin(), items.end(), 0);
  const int chunksize = GENERATE(1, 4);
  const auto results = isolated().with({.chunksize = chunksize, .timeout = 1s}).map(f, items);
  REQUIRE(results.wait(test::limit));
  for (const int i : items) {
    INFO(i);
    const auto at = static_cast<std::size_t>(i);
    if (i % 10 == 1) {
      CHECK_THROWS_AS(results[at], rv::TaskCrashed);
    } else if (i % 10 == 3) {
      CHECK_THROWS_AS(results[at], rv::RemoteError);
    } else if (i % 20 == 5) {
      CHECK_THROWS_AS(results[at], rv::TimeoutError);
    } else {
      CHECK(results[at] == std::vector<double>(at * 1000, i));
    }
    const rv::Metadata metadata = results.metadata(at);
    CHECK(metadata.started <= metadata.completed);
  }
  CHECK(test::alive());
}

TEST_CASE("one of them is aborted, and the others go on", "[.slots]") {
  const Meeting meeting;
  const auto wait_for = [](const std::string& gate, const std::string& begun) {
    std::ofstream(begun + "/" + std::to_string(getpid())).flush();
    test::Gate::pass(gate);
    return 1;
  };
  const test::Gate first;
  const test::Gate second;
  const auto aborted = isolated().apply(wait_for, first.path(), meeting.path());
  const auto other = isolated().apply(wait_for, second.path(), meeting.path());
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (present(meeting.path()) < 2 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  aborted.abort();
  CHECK_THROWS_AS(aborted.get(test::limit), rv::TaskAborted);
  second.open();
  CHECK(other.get(test::limit) == 1);
}

TEST_CASE("a task of a chunk is aborted, and those behind it run", "[.slots]") {
  const Meeting meeting;
  const auto f = [](int n, const std::string& begun) {
    if (n != 1) {
      // Longer than one that is told to stop may go on.
      for (int i = 0; i < 15; ++i) std::this_thread::sleep_for(100ms);
      return n;
    }
    std::ofstream(begun + "/begun").flush();
    for (;;) pause();
  };
  const auto result = isolated().with({.chunksize = 3}).map(f, std::vector<int>{1, 2, 3}, std::vector<std::string>(3, meeting.path()));
  const auto end = std::chrono::steady_clock::now() + test::limit;
  while (present(meeting.path()) == 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  client().abort(result.task_ids().front());
  REQUIRE(result.wait(test::limit));
  CHECK_THROWS_AS(result[0], rv::TaskAborted);
  CHECK(result[1] == 2);
  CHECK(result[2] == 3);
}

TEST_CASE("a task that waits for a subtask has its engine for itself again", "[.slots]") {
  const Meeting meeting;
  const auto parent = [](const std::string& path) {
    const int child = rv::this_task::submit([](int n) { return 2 * n; }, 21).get();
    return child == 42 && taken_here(path) == 0;
  };
  std::vector<rv::AsyncResult<bool>> parents;
  std::vector<rv::AsyncResult<int>> others;
  for (int i = 0; i < 10; ++i) {
    parents.push_back(balanced().apply(parent, meeting.path()));
    for (int j = 0; j < 3; ++j) others.push_back(isolated().apply(watch, meeting.path(), 1));
  }
  for (const auto& each : parents) CHECK(each.get(test::limit));
  for (const auto& each : others) CHECK(each.get(test::limit) <= slots);
}

TEST_CASE("each tells what it publishes", "[.slots]") {
  const test::Gate gate;
  const auto f = [](const std::string& path, int n) {
    rv::this_task::publish("n", n);
    test::Gate::pass(path);
    return n;
  };
  std::vector<rv::AsyncResult<int>> results;
  for (int n = 0; n < slots; ++n) results.push_back(isolated().apply(f, gate.path(), n));
  const auto end = std::chrono::steady_clock::now() + test::limit;
  for (int n = 0; n < slots; ++n) {
    const auto& result = results[static_cast<std::size_t>(n)];
    while (!result.data().contains("n") && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    CHECK(result.data().get<int>("n") == n);
  }
  gate.open();
  for (int n = 0; n < slots; ++n) CHECK(results[static_cast<std::size_t>(n)].get(test::limit) == n);
}
