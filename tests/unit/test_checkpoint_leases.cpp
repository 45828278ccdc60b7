// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/leases.hpp"
#include "checkpoint/sharing.hpp"
#include "memory_disk.hpp"
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace cp = rankview::checkpoint;
using cp::Leases;
using unit::checkpoint::MemoryDisk;
using Mode = Leases::Mode;

namespace {

constexpr std::chrono::seconds stale{30};

std::vector<std::uint32_t> range(std::uint32_t begin, std::uint32_t end) {
  std::vector<std::uint32_t> all(end - begin);
  std::iota(all.begin(), all.end(), begin);
  return all;
}

std::size_t leases_on(const MemoryDisk& disk) {
  return static_cast<std::size_t>(
      std::count_if(disk.files.begin(), disk.files.end(), [](const auto& file) { return file.first.starts_with("d/lease-"); }));
}

// What hears of leases as the controller does.
struct Job {
  Job(MemoryDisk& on, const std::string& name) : sharing(on, "d", settings(name)) {}

  cp::Sharing::Settings settings(const std::string& name) {
    cp::Sharing::Settings set;
    set.job = name;
    set.look = std::chrono::milliseconds(2);
    set.read_on = [this] { ++read; };
    set.flush = [this] { ++flushed; };
    set.attend = [this] { ++attended; };
    return set;
  }
  // Waits until what it has heard is so.
  template <class Ready>
  void await(Ready ready) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!ready()) {
      REQUIRE(std::chrono::steady_clock::now() < limit);
      if (!sharing.any_news()) {
        std::this_thread::yield();
        continue;
      }
      const cp::Sharing::News news = sharing.take_news();
      splits = news.splits;
      asked = news.asked;
      answered = news.answered;
      for (const std::uint32_t bucket : news.gained) held.insert(bucket);
      for (const std::uint32_t bucket : news.lost) held.erase(bucket);
    }
  }

  std::atomic<int> read{0};
  std::atomic<int> flushed{0};
  std::atomic<int> attended{0};
  std::set<std::uint32_t> held;
  bool splits = false;
  bool asked = false;
  bool answered = true;
  cp::Sharing sharing;
};

}  // namespace

TEST_CASE("A job that is alone has everything by one lease", "[checkpoint_leases]") {
  MemoryDisk disk;
  {
    Leases job(disk, "d", "a", stale);
    CHECK(job.mode() == Mode::waiting);
    for (int look = 0; look < 3; ++look) {
      job.look();
      CHECK(job.mode() == Mode::alone);
      CHECK(disk.files.size() == 2);
      disk.now += 100 * stale;
    }
    // There is nothing to be had one by one.
    CHECK(job.get(range(0, 10), 3).gained.empty());
  }
  CHECK(disk.files.empty());
}

TEST_CASE("A second job waits until the first shares, and each bucket is one job's", "[checkpoint_leases]") {
  MemoryDisk disk;
  auto first = std::make_unique<Leases>(disk, "d", "a", stale);
  first->look();
  Leases second(disk, "d", "b", stale);
  second.look();
  CHECK(second.mode() == Mode::waiting);
  CHECK(second.get(range(0, 256), 256).gained.empty());
  first->look();
  REQUIRE(first->mode() == Mode::asked);
  second.look();
  CHECK(second.mode() == Mode::waiting);
  CHECK(first->share({3, 4, 5}).gained == std::vector<std::uint32_t>{3, 4, 5});
  CHECK(first->mode() == Mode::sharing);
  second.look();
  REQUIRE(second.mode() == Mode::sharing);
  CHECK(second.get(range(0, 10), 3).gained == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(second.get(range(0, 10), 2).gained == std::vector<std::uint32_t>{6, 7});
  CHECK(first->get(range(0, 10), 20).gained == std::vector<std::uint32_t>{8, 9});
  CHECK(first->get(range(0, 10), 20).gained.empty());
  second.give_back(1);
  CHECK(!second.holds(1));
  CHECK(first->get(range(0, 10), 20).gained == std::vector<std::uint32_t>{1});
  // As long as both live.
  for (int time = 0; time < 10; ++time) {
    disk.now += stale / 2;
    CHECK(first->look().lost.empty());
    CHECK(second.look().lost.empty());
    CHECK(second.get(range(0, 10), 20).gained.empty());
  }
  first.reset();
  CHECK(second.get(range(0, 10), 20).gained == std::vector<std::uint32_t>{1, 3, 4, 5, 8, 9});
}

TEST_CASE("What a job had that has died is taken over when it is stale", "[checkpoint_leases]") {
  MemoryDisk disk;
  Leases dead(disk, "d", "a", stale);
  dead.look();
  SECTION("all of it") {
    Leases next(disk, "d", "b", stale);
    next.look();
    disk.now += stale / 2;
    next.look();
    CHECK(next.mode() == Mode::waiting);
    disk.now += stale / 2;
    next.look();
    CHECK(next.mode() == Mode::alone);
    // It was only stopped, and goes on.
    dead.look();
    CHECK(dead.mode() == Mode::waiting);
    next.look();
    REQUIRE(next.mode() == Mode::asked);
    next.share({7});
    dead.look();
    REQUIRE(dead.mode() == Mode::sharing);
    CHECK(dead.get({7, 8}, 2).gained == std::vector<std::uint32_t>{8});
  }
  SECTION("at once, where it is known that it does not live") {
    Leases next(disk, "d", "b", stale);
    next.look();
    CHECK(next.mode() == Mode::waiting);
    disk.release("d/job-a");
    next.look();
    CHECK(next.mode() == Mode::alone);
  }
  SECTION("not at once, where locks may not be seen") {
    MemoryDisk served;
    Leases far(served, "d", "far-1-1", stale);
    far.look();
    Leases next(served, "d", "near-1-1", stale);
    served.release("d/job-far-1-1");
    next.look();
    CHECK(next.mode() == Mode::waiting);
    served.now += stale;
    next.look();
    CHECK(next.mode() == Mode::alone);
  }
  SECTION("some") {
    Leases next(disk, "d", "b", stale);
    next.look();
    dead.look();
    dead.share({1, 2, 3});
    next.look();
    REQUIRE(next.mode() == Mode::sharing);
    CHECK(next.get({1, 2}, 2).gained.empty());
    disk.now += stale;
    next.look();
    CHECK(next.get({1, 2}, 2).gained == std::vector<std::uint32_t>{1, 2});
    CHECK(dead.holds(1));
    CHECK(dead.look().lost == std::vector<std::uint32_t>{1, 2});
    CHECK(dead.holds(3));
    CHECK(!dead.holds(1));
    CHECK(dead.get({1, 2}, 2).gained.empty());
  }
}

TEST_CASE("Of several jobs that begin at once none has what another has", "[checkpoint_leases]") {
  // Steps of three jobs in any order, each of which may stop for long now and then: while all are there in time nobody has what another
  // has, and in the end each bucket can be had.
  std::mt19937_64 random(test::seed("leases"));
  for (int round = 0; round < 200; ++round) {
    MemoryDisk disk;
    std::vector<std::unique_ptr<Leases>> jobs(3);
    const bool stops = round % 2 == 0;
    std::size_t shared = 0;
    for (int step = 0; step < 300; ++step) {
      const std::size_t which = random() % jobs.size();
      auto& job = jobs[which];
      if (job == nullptr) {
        job = std::make_unique<Leases>(disk, "d", std::string(1, static_cast<char>('a' + which)) + std::to_string(step), stale);
        continue;
      }
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          job->look();
          break;
        case 3:
        case 4:
        case 5:
          job->get(range(0, 20), 1 + random() % 4);
          break;
        case 6:
          if (job->mode() == Mode::asked) {
            job->share(range(0, static_cast<std::uint32_t>(random() % 20)));
          } else {
            job->give_back(static_cast<std::uint32_t>(random() % 20));
          }
          break;
        case 7:
          if (random() % 20 == 0) job.reset();
          break;
      }
      // Without stops everybody looks in time.
      if (stops ? random() % 30 == 0 : false) disk.now += stale;
      if (!stops && step % 10 == 0) {
        disk.now += stale / 4;
        for (const auto& each : jobs) {
          if (each != nullptr) each->look();
        }
      }
      for (const auto& each : jobs) CHECK((each == nullptr || each->mode() != Mode::off));
      if (stops) continue;
      std::set<std::uint32_t> held;
      int whole = 0;
      std::size_t with_any = 0;
      for (const auto& each : jobs) {
        if (each == nullptr) continue;
        whole += each->mode() == Mode::alone || each->mode() == Mode::asked ? 1 : 0;
        bool any = false;
        for (std::uint32_t bucket = 0; bucket < 20; ++bucket) {
          if (!each->holds(bucket)) continue;
          CHECK(held.insert(bucket).second);
          any = true;
        }
        with_any += any ? 1 : 0;
      }
      CHECK(whole <= 1);
      CHECK((whole == 0 || held.empty()));
      shared += with_any > 1 ? 1 : 0;
    }
    CHECK((stops || shared > 0));
    // One is left, and comes to all of it.
    disk.now += stale;
    jobs.clear();
    Leases last(disk, "d", "last", stale);
    last.look();
    CHECK(last.mode() == Mode::alone);
  }
}

TEST_CASE("Leases are got and given back by a thread, which reads and writes before", "[checkpoint_leases]") {
  MemoryDisk disk;
  auto first = std::make_unique<Job>(disk, "a");
  CHECK(!first->sharing.take_news().splits);
  Job second(disk, "b");
  second.await([&] { return second.splits; });
  first->await([&] { return first->asked; });
  second.sharing.want({1, 2, 3, 4}, 2);
  CHECK(first->flushed == 0);
  first->sharing.share({2});
  first->await([&] { return first->splits && first->held.contains(2); });
  second.await([&] { return second.held.size() == 2; });
  CHECK(second.held == std::set<std::uint32_t>{1, 3});
  CHECK(second.answered);
  CHECK(second.read > 0);
  // What another has is waited for.
  second.sharing.want({2}, 1);
  CHECK(first->flushed == 1);
  first->sharing.give_back({2});
  second.await([&] { return second.held.contains(2); });
  CHECK(first->flushed == 2);
  // Or until it is stale; it is the other one that loses it.
  first->sharing.want({5}, 1);
  first->await([&] { return first->held.contains(5); });
  first->sharing.stop();
  disk.pass(stale);
  second.sharing.want({5}, 1);
  second.await([&] { return second.held.contains(5); });
  const int attended = second.attended;
  second.await([&] { return second.attended > attended; });
  first.reset();
  second.sharing.stop();
}

TEST_CASE("A job that is alone is not called when there is no news", "[checkpoint_leases]") {
  MemoryDisk disk;
  Job job(disk, "a");
  const auto looked = [&] { return disk.touched("d/job-a"); };
  const auto await_looks = [&] {
    for (int look = 0; look < 3; ++look) {
      disk.pass(std::chrono::nanoseconds(1));
      const auto before = looked();
      job.await([&] { return looked() != before; });
    }
  };
  await_looks();
  CHECK(job.attended == 0);
  // News that nobody asks for is told until somebody does.
  Job other(disk, "b");
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (job.attended < 3 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(job.attended >= 3);
}

TEST_CASE("What was gained and is lost before anybody hears of it is lost", "[checkpoint_leases]") {
  MemoryDisk disk;
  Job first(disk, "a");
  Job second(disk, "b");
  first.await([&] { return first.asked; });
  first.sharing.share({1});
  // It is not asked meanwhile.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto await_change = [&](const auto& of) {
    const auto before = of();
    disk.pass(std::chrono::nanoseconds(1));
    while (of() == before && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  };
  while (!disk.touched("d/lease-256-1-0") && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  REQUIRE(disk.link("d/job-b", "d/lease-256-1-1"));
  // When the second look has begun the first is over.
  const auto looked = [&] { return disk.touched("d/job-a"); };
  await_change(looked);
  await_change(looked);
  const cp::Sharing::News news = first.sharing.take_news();
  CHECK(news.gained.empty());
  CHECK(news.lost == std::vector<std::uint32_t>{1});
}

TEST_CASE("A job that has left has nothing any more", "[checkpoint_leases]") {
  MemoryDisk disk;
  Job first(disk, "a");
  CHECK(leases_on(disk) == 1);
  first.sharing.leave();
  CHECK(disk.files.empty());
  Job second(disk, "b");
  CHECK(!second.sharing.splits());
}

TEST_CASE("Where there are no links there are no leases", "[checkpoint_leases]") {
  MemoryDisk disk;
  disk.unlinkable = true;
  Leases job(disk, "d", "a", stale);
  job.look();
  CHECK(job.mode() == Mode::off);
  CHECK(!job.trouble().empty());
  CHECK(job.look().lost.empty());
  CHECK(job.get({1}, 1).gained.empty());
}

TEST_CASE("Whatever fails, a job goes on, with or without leases", "[checkpoint_leases]") {
  for (std::size_t faulty = 0;; ++faulty) {
    REQUIRE(faulty < 100);
    MemoryDisk disk;
    std::size_t operations = 0;
    bool failed = false;
    disk.fault = [&](std::size_t, std::size_t bytes) {
      failed = failed || operations == faulty;
      // What is written fails if it is too little.
      return operations++ == faulty ? (bytes == 0 ? MemoryDisk::none : 0) : bytes;
    };
    {
      Leases first(disk, "d", "a", stale);
      Leases second(disk, "d", "b", stale);
      for (int time = 0; time < 3; ++time) {
        first.look();
        second.look();
        for (Leases* const job : {&first, &second}) {
          if (job->mode() == Mode::asked) job->share({1, 2, 3});
          job->get(range(0, 8), 2);
        }
        first.give_back(1);
      }
      CHECK((first.mode() == Mode::off || second.mode() == Mode::off || failed || first.mode() == Mode::sharing));
      if (failed) CHECK((first.mode() == Mode::off) != (second.mode() == Mode::off));
    }
    if (failed) continue;
    CHECK(leases_on(disk) == 0);
    break;
  }
}
