// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// rankview_deaths WHAT [SEED [TIMES]]: engines that die, and what the client gets then. Ends with 7 if all is right.
#include <rankview/rankview.hpp>

#include <boost/mpi.hpp>

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace rv = rankview;
using namespace std::chrono_literals;

std::mt19937 chance;

void expect(bool right, const std::string& what) {
  if (!right) throw std::runtime_error("not right: " + what);
}

template <class Error>
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  throw std::runtime_error("not right: nothing was thrown");
}

// Kills some of these a little later.
class Killer {
 public:
  Killer(std::vector<pid_t> victims, std::chrono::microseconds longest, int signal = SIGKILL)
      : thread_([victims = std::move(victims), when = longest * static_cast<long>(chance() % 1000) / 1000, signal] {
          std::this_thread::sleep_for(when);
          for (const pid_t victim : victims) kill(victim, signal);
        }) {}
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;
  ~Killer() { thread_.join(); }

 private:
  std::thread thread_;
};

std::vector<pid_t> processes(const rv::Client& rc) { return rc[rv::all].apply_sync(getpid); }

// Until rank 0 has noticed so many.
void wait_for_lost(const rv::Client& rc, std::size_t count) {
  for (int i = 0; i < 4000 && rc.lost().size() != count; ++i) {
    rc.spin();
    std::this_thread::sleep_for(5ms);
  }
  expect(rc.lost().size() == count, std::to_string(rc.lost().size()) + " engines are lost");
}

long twice(int n) {
  volatile double x = n;
  for (int i = 0; i < 1000; ++i) x = x * 1.0000001 + 1;
  return 2L * n;
}

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

void check_twice(const std::vector<long>& values, int count) {
  expect(values.size() == static_cast<std::size_t>(count), "as many values as items");
  for (int i = 0; i < count; ++i) expect(values[static_cast<std::size_t>(i)] == 2L * i, "item " + std::to_string(i));
}

// ---- tasks of a pool ---------------------------------------------------------------------------------------------------------

void map(const rv::Client& rc, std::size_t kills) {
  std::vector<pid_t> victims = processes(rc);
  std::shuffle(victims.begin(), victims.end(), chance);
  victims.resize(kills);
  constexpr int count = 10'000;
  {
    const Killer killer(victims, 40ms);
    check_twice(rc.load_balanced_view().map_sync(twice, numbers(count)), count);
  }
  wait_for_lost(rc, kills);
  expect(rc.size() == 4 - kills, "the others are there");
  check_twice(rc.load_balanced_view().map_sync(twice, numbers(100)), 100);
}

// Nobody is left.
void everybody(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto result = rc.load_balanced_view().map(twice, numbers(200'000));
  for (const pid_t victim : victims) kill(victim, SIGKILL);
  const std::string error = error_of<rv::CompositeError>([&] { static_cast<void>(result.get()); });
  expect(error.find("nobody is left to run the task") != std::string::npos, error);
  expect(rc.size() == 0 && rc.ids().empty(), "nobody lives");
  error_of<rv::EngineError>([&] { rc.load_balanced_view().apply_sync(twice, 1); });
}

std::vector<double> long_result(int n) { return std::vector<double>(500'000, n); }

// What is long travels by itself, and is half there.
void large(const rv::Client& rc) {
  auto victims = processes(rc);
  victims = {victims[chance() % 4]};
  const Killer killer(victims, 60ms);
  const auto values = rc.load_balanced_view().map_sync(long_result, numbers(60));
  for (int i = 0; i < 60; ++i) {
    const auto& value = values[static_cast<std::size_t>(i)];
    expect(value.size() == 500'000 && std::all_of(value.begin(), value.end(), [i](double x) { return x == i; }), "a long value");
  }
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// Results that engines keep are arguments of others' tasks.
void arguments(const rv::Client& rc) {
  auto victims = processes(rc);
  victims = {victims[chance() % 4]};
  const Killer killer(victims, 60ms);
  const auto view = rc.load_balanced_view();
  std::vector<rv::AsyncResult<double>> sums;
  for (int i = 0; i < 40; ++i) sums.push_back(view.apply(sum, view.apply(long_result, i)));
  for (int i = 0; i < 40; ++i) expect(sums[static_cast<std::size_t>(i)].get() == 500'000.0 * i, "a sum");
}

int fibonacci(int n) {
  if (n < 2) return n;
  auto before = rv::this_task::submit(fibonacci, n - 1);
  const int last = fibonacci(n - 2);
  return before.get() + last;
}

void subtasks(const rv::Client& rc) {
  auto victims = processes(rc);
  victims = {victims[chance() % 4]};
  const Killer killer(victims, 20ms);
  const auto values = rc.load_balanced_view().map_sync(fibonacci, std::vector(40, 9));
  expect(std::all_of(values.begin(), values.end(), [](int value) { return value == 34; }), "fibonacci");
}

int poison(int n) {
  if (n == 13) kill(getpid(), SIGKILL);
  return n;
}
int crashes(int n) {
  if (n == 13) std::raise(SIGSEGV);
  return n;
}

// A task that engines die of is given up; its neighbours are not.
void blame(const rv::Client& rc, int (*task)(int), bool known) {
  const auto result = rc.load_balanced_view().with({.crash_limit = 2}).map(task, numbers(500));
  const auto results = result.results();
  for (std::size_t i = 0; i < 500; ++i) {
    if (i == 13) continue;
    expect(results[i] && *results[i] == static_cast<int>(i), "a neighbour of what engines die of");
  }
  const std::string error = error_of<rv::EngineError>([&] { std::rethrow_exception(results[13].error()); });
  expect(error.find("crash_limit") != std::string::npos, error);
  // Who could not tell what it ran takes one engine more.
  expect(rc.size() == (known ? 2U : 1U), std::to_string(rc.size()) + " engines are left");
  if (known) expect(error.find("SIGSEGV") != std::string::npos && rc.lost().front().signal == SIGSEGV, error);
}

int slow(int n) {
  std::this_thread::sleep_for(300ms);
  return n;
}

// What must not be run twice is not.
void once(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto result = rc.load_balanced_view().with({.on_engine_death = rv::fail}).map(slow, numbers(8));
  std::this_thread::sleep_for(100ms);
  kill(victims[1], SIGKILL);
  int failed = 0;
  for (const auto& each : result.results()) {
    if (each) continue;
    ++failed;
    const std::string error = error_of<rv::EngineError>([&] { std::rethrow_exception(each.error()); });
    expect(error.find("on_engine_death") != std::string::npos, error);
  }
  expect(failed == 1, "one task was there");
  expect(rc.lost().front().failed == 1 && rc.lost().front().rerun == 0, "what became of it");
}

// Engines that are stopped for a while, longer than they may be silent.
void stopped(const rv::Client& rc) {
  const auto victims = processes(rc);
  const pid_t victim = victims[chance() % 4];
  std::thread stopping([victim, when = std::chrono::microseconds(chance() % 40'000)] {
    std::this_thread::sleep_for(when);
    kill(victim, SIGSTOP);
    std::this_thread::sleep_for(3s);
    kill(victim, SIGCONT);
  });
  constexpr int count = 10'000;
  int aside = 0;
  rc.on_lost([&aside](const rv::LostEngine& lost) { aside += lost.aside ? 1 : 0; });
  for (int i = 0; i < 3; ++i) check_twice(rc.load_balanced_view().map_sync(twice, numbers(count)), count);
  stopping.join();
  wait_for_lost(rc, 0);
  expect(aside == 1, "it was set aside");
  expect(rc.size() == 4, "it is taken back");
  expect(rc[rv::all].apply_sync(getpid) == victims, "and does what it is asked to");
  check_twice(rc.load_balanced_view().map_sync(twice, numbers(count)), count);
}

// One that never goes on does not keep the others from ending.
void stopped_for_ever(const rv::Client& rc) {
  const auto victims = processes(rc);
  kill(victims[chance() % 4], SIGSTOP);
  constexpr int count = 10'000;
  check_twice(rc.load_balanced_view().map_sync(twice, numbers(count)), count);
}

// RANKVIEW_CHAOS decides who dies, and when.
void rehearsed(const rv::Client& rc) {
  const auto results = rc.load_balanced_view().map(twice, numbers(3'000)).results();
  for (int i = 0; i < 3'000; ++i) {
    const auto& each = results[static_cast<std::size_t>(i)];
    if (each) {
      expect(*each == 2L * i, "an item");
    } else {
      error_of<rv::EngineError>([&] { std::rethrow_exception(each.error()); });
    }
  }
  std::printf("%zu lost\n", rc.lost().size());
}

// ---- views -------------------------------------------------------------------------------------------------------------------

void views(const rv::Client& rc) {
  const auto victims = processes(rc);
  const rv::DirectView all = rc[rv::all];
  const rv::DirectView some = rc[{1, 2}];
  const auto pool = rc.load_balanced_view(std::vector{1, 2});
  const rv::EngineView second = rc[1];
  const rv::EngineView last = rc[-1];
  all["x"] = 3;
  int told = 0;
  rc.on_lost([&told](const rv::LostEngine& lost) { told += lost.engine == 1 && !lost.aside ? 1 : 0; });
  const auto running = second.apply(slow, 1);
  kill(victims[1], SIGKILL);
  const std::string error = error_of<rv::EngineError>([&] { static_cast<void>(running.get()); });
  expect(error.find("engine 1") != std::string::npos && error.find("was for that engine") != std::string::npos, error);
  error_of<rv::EngineError>([&] { second.apply_sync(slow, 1); });
  error_of<rv::EngineError>([&] { static_cast<void>(rc[1]); });
  error_of<std::out_of_range>([&] { static_cast<void>(rc[4]); });
  expect(rc.ids() == std::vector{0, 2, 3} && all.targets() == rc.ids() && some.targets() == std::vector{1, 2}, "who lives");
  expect(rc[-1].id() == 3 && rc[-2].id() == 2 && last.apply_sync(slow, 5) == 5, "counted from the end");
  expect(all.pull_sync<int>("x") == std::vector(3, 3), "their variables");
  const std::string of_two = error_of<rv::EngineError>([&] { some.apply_sync(slow, 2); });
  expect(of_two.find("engine 1") != std::string::npos, of_two);
  error_of<rv::EngineError>([&] { some.map_sync(twice, numbers(4)); });
  error_of<rv::EngineError>([&] { some.gather_sync<int>("x"); });
  error_of<rv::EngineError>([&] { some.push_sync("x", 4); });
  error_of<rv::EngineError>([&] { some["x"] = 5; });
  expect(pool.apply_sync(twice, 2) == 4L, "a pool with one left");
  expect(some.queue_status().engines.size() == 1, "the status of one");
  check_twice(all.map_sync(twice, numbers(100)), 100);
  rc.spin();
  for (int i = 0; i < 400 && told == 0; ++i) {
    rc.spin();
    std::this_thread::sleep_for(5ms);
  }
  expect(told == 1, "it is told once");
  const auto lost = rc.lost();
  expect(lost.size() == 1 && lost[0].engine == 1 && lost[0].rank == 2 && lost[0].pid == victims[1] && !lost[0].host.empty() &&
             !lost[0].seen.empty(),
         "what is known of it");
}

// Between calls, when nobody waits for anything.
void at_rest(const rv::Client& rc) {
  const auto victims = processes(rc);
  kill(victims[2], SIGKILL);
  wait_for_lost(rc, 1);
  expect(rc.ids() == std::vector{0, 1, 3}, "who lives");
  expect(rc[rv::all].apply_sync(twice, 4) == std::vector<long>(3, 8), "the others");
}

// ---- what engines do together ------------------------------------------------------------------------------------------------

void collective(const rv::Client& rc) {
  const auto victims = processes(rc);
  const rv::DirectView all = rc[rv::all];
  const rv::DirectView four = rc[rc.ids()];
  const int size = 100'000 * (1 + static_cast<int>(chance() % 20));
  const std::vector<double> numbers_of(static_cast<std::size_t>(size), 1.5);
  all.scatter_sync("y", numbers_of);
  std::size_t failed = 0;
  {
    const Killer killer({victims[chance() % 4]}, 60ms);
    while (rc.lost().empty()) {
      try {
        all.scatter_sync("x", numbers_of);
        const double total = all.reduce_all_sync<double>("x", std::plus<>());
        const auto gathered = all.gather_sync<double>("x");
        // A death that is noticed between two calls takes a part along, and the later call goes on with those that live.
        const bool whole = rc.lost().empty();
        expect(!whole || total == 1.5 * size, "the sum");
        expect(!whole || gathered.size() == static_cast<std::size_t>(size), "all elements");
        all.push_sync("z", numbers_of);
        all.allreduce_sync<double>("one", "all", std::plus<>());
      } catch (const rv::EngineError&) {
        ++failed;
      } catch (const rv::CompositeError& error) {
        // There is no variable "one" on any; or it is an engine less.
        ++failed;
      }
    }
  }
  std::printf("%zu calls have failed\n", failed);
  // The others go on without it.
  error_of<rv::EngineError>([&] { four.gather_sync<double>("y"); });
  all.scatter_sync("x", numbers_of);
  expect(all.size() == 3 && all.reduce_all_sync<double>("x", std::plus<>()) == 1.5 * size, "the sum on those that live");
  const auto gathered = all.gather_sync<double>("x");
  expect(gathered == numbers_of, "the elements on those that live");
}

int together(const boost::mpi::communicator& comm, int n) {
  int total = 0;
  std::this_thread::sleep_for(1ms);
  boost::mpi::all_reduce(comm, n, total, std::plus<>());
  return total;
}

// Tasks that run MPI together. Those that wait for the dead one in it cannot be called back, and end with it; their task runs again.
void team(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto teams = rc.team_view(2);
  {
    const Killer killer({victims[chance() % 4]}, 40ms);
    const auto sums = teams.map_sync(together, numbers(60));
    for (int i = 0; i < 60; ++i) expect(sums[static_cast<std::size_t>(i)] == 2 * i, "the sum of task " + std::to_string(i));
  }
  expect(teams.map_sync(together, numbers(10)).size() == 10, "teams of those that live");
}

std::vector<double> long_together(const boost::mpi::communicator& comm, int n) {
  double total = 0;
  boost::mpi::all_reduce(comm, 0.5 * n, total, std::plus<>());
  return std::vector<double>(500'000, total);
}

// What the first of a team has given may be half there, or all of it, while another of it has not ended.
void team_large(const rv::Client& rc) {
  const auto victims = processes(rc);
  const Killer killer({victims[chance() % 4]}, 60ms);
  const auto values = rc.team_view(2).map_sync(long_together, numbers(40));
  for (int i = 0; i < 40; ++i) {
    const auto& value = values[static_cast<std::size_t>(i)];
    expect(value.size() == 500'000 && std::all_of(value.begin(), value.end(), [i](double x) { return x == i; }), "a long value");
  }
}

// While teams are being made, one after the other.
void team_making(const rv::Client& rc) {
  const auto victims = processes(rc);
  std::size_t right = 0;
  {
    const Killer killer({victims[chance() % 4]}, 30ms);
    for (int first = 0; first < 4; ++first) {
      for (int second = 0; second < 4; ++second) {
        if (first == second) continue;
        try {
          expect(rc.team_view(2, std::vector{first, second}).apply_sync(together, 1) == 2, "the sum");
          expect(rc[{first, second}].apply_sync(together, 1) == std::vector{2, 2}, "the sums");
          ++right;
        } catch (const rv::UsageError&) {
          // Too few are left for this team.
        } catch (const rv::Error& error) {
          expect(!rc.lost().empty(), error.what());
        }
      }
    }
  }
  wait_for_lost(rc, 4 - rc.size());
  expect(rc.size() >= 2, std::to_string(rc.size()) + " engines are left");
  check_twice(rc.load_balanced_view().map_sync(twice, numbers(100)), 100);
  expect(rc.team_view(static_cast<int>(rc.size())).apply_sync(together, 1) == static_cast<int>(rc.size()), "all that are left together");
  std::printf("%zu right\n", right);
}

// Without a word to the others.
int apart(const boost::mpi::communicator& comm, int n) {
  std::this_thread::sleep_for(300ms);
  return 10 * n + comm.size();
}

// No team is left whole: others are made of those that are left.
void team_of_rests(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto results = rc.team_view(2).map(apart, numbers(6));
  std::this_thread::sleep_for(100ms);
  for (const std::size_t victim : {chance() % 2, 2 + chance() % 2}) kill(victims[victim], SIGKILL);
  const auto values = results.get();
  for (int i = 0; i < 6; ++i) expect(values[static_cast<std::size_t>(i)] == 10 * i + 2, "task " + std::to_string(i));
  expect(rc.size() == 2 && rc.lost().size() == 2, "those that are left live");
  expect(rc.team_view(2).apply_sync(apart, 7) == 72, "and are a team");
}

// Who was left over steps in.
void team_of_leftovers(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto results = rc.team_view(3).map(apart, numbers(3));
  std::this_thread::sleep_for(100ms);
  kill(victims[chance() % 3], SIGKILL);
  const auto values = results.get();
  for (int i = 0; i < 3; ++i) expect(values[static_cast<std::size_t>(i)] == 10 * i + 3, "task " + std::to_string(i));
}

// Too few are left for one.
void team_too_few(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto results = rc.team_view(3).map(apart, numbers(3));
  std::this_thread::sleep_for(100ms);
  kill(victims[0], SIGKILL);
  kill(victims[1], SIGKILL);
  for (const auto& each : results.results()) {
    expect(!each, "nobody could run it");
    const std::string error = error_of<rv::EngineError>([&] { std::rethrow_exception(each.error()); });
    expect(error.find("nobody is left to run the task") != std::string::npos, error);
  }
  expect(rc.team_view(2).apply_sync(apart, 7) == 72, "those that are left live");
}

// Not where the task may not run twice.
void team_once(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto results = rc.team_view(2).with({.on_engine_death = rv::fail}).map(apart, numbers(4));
  std::this_thread::sleep_for(100ms);
  kill(victims[1], SIGKILL);
  int failed = 0;
  for (const auto& each : results.results()) {
    if (each) continue;
    ++failed;
    const std::string error = error_of<rv::EngineError>([&] { std::rethrow_exception(each.error()); });
    expect(error.find("on_engine_death") != std::string::npos, error);
  }
  expect(failed == 1, std::to_string(failed) + " tasks have failed");
  expect(rc.lost().front().failed == 1 && rc.lost().front().rerun == 0, "what became of it");
}

// Nor where nobody wants it any more.
void team_aborted(const rv::Client& rc) {
  const auto victims = processes(rc);
  const auto results = rc.team_view(2).map(apart, numbers(2));
  std::this_thread::sleep_for(100ms);
  results.abort();
  kill(victims[1], SIGKILL);
  int given_up = 0;
  for (const auto& each : results.results()) {
    if (each) continue;
    error_of<rv::TaskAborted>([&] { std::rethrow_exception(each.error()); });
    ++given_up;
  }
  expect(given_up != 0, "the one that was run with the dead is given up");
  expect(rc.team_view(3).apply_sync(apart, 7) == 73, "those that are left live");
}

int crashes_together(const boost::mpi::communicator& comm, int n) {
  if (n == 3 && comm.rank() == 1) std::raise(SIGSEGV);
  return n;
}

// One that engines die of is given up, and the others of its teams are none of those.
void team_crashes(const rv::Client& rc) {
  const auto results = rc.team_view(2).with({.crash_limit = 2}).map(crashes_together, numbers(20)).results();
  for (std::size_t i = 0; i < 20; ++i) {
    if (i != 3 && !results[i]) std::rethrow_exception(results[i].error());
    if (i != 3) expect(*results[i] == static_cast<int>(i), "a neighbour of what engines die of");
  }
  const std::string error = error_of<rv::EngineError>([&] { std::rethrow_exception(results[3].error()); });
  expect(error.find("2 (crash_limit)") != std::string::npos, error);
  expect(rc.size() == 2, std::to_string(rc.size()) + " engines are left");
}

// One of a team does not answer for a while: the task waits for it.
void team_stopped(const rv::Client& rc) {
  const auto victims = processes(rc);
  const pid_t victim = victims[chance() % 4];
  std::thread stopping([victim, when = std::chrono::microseconds(chance() % 40'000)] {
    std::this_thread::sleep_for(when);
    kill(victim, SIGSTOP);
    std::this_thread::sleep_for(3s);
    kill(victim, SIGCONT);
  });
  int aside = 0;
  rc.on_lost([&aside](const rv::LostEngine& lost) { aside += lost.aside ? 1 : 0; });
  const auto sums = rc.team_view(2).map_sync(together, numbers(400));
  stopping.join();
  for (int i = 0; i < 400; ++i) expect(sums[static_cast<std::size_t>(i)] == 2 * i, "the sum of task " + std::to_string(i));
  wait_for_lost(rc, 0);
  expect(aside == 1, "it was set aside");
  expect(rc.team_view(4).apply_sync(together, 1) == 4, "it is taken back");
}

// ---- tasks in processes of their own -----------------------------------------------------------------------------------------

// Notes its process in the file, and then does this or that.
long ends_badly(int n, const std::string& processes) {
  std::ofstream(processes, std::ios::app) << (std::to_string(getpid()) + "\n") << std::flush;
  const int way = n % 40;
  if (way < 4) std::raise(way % 2 == 0 ? SIGSEGV : SIGABRT);
  if (way == 10 || way == 11) {
    for (;;) pause();
  }
  if (way == 20 || way == 21) {
    std::vector<std::vector<char>> all;
    for (;;) {
      all.emplace_back(4'000'000, 'x');
      std::this_thread::sleep_for(1ms);
    }
  }
  if (way == 30 || way == 31) throw std::domain_error("not this one");
  return 2L * n;
}

class ProcessFile {
 public:
  ProcessFile() { std::ofstream(path_).flush(); }
  ProcessFile(const ProcessFile&) = delete;
  ProcessFile& operator=(const ProcessFile&) = delete;
  ~ProcessFile() { std::remove(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }
  // Until none of those in it lives.
  void wait_for_ends() const {
    std::ifstream in(path_);
    for (pid_t process = 0; in >> process;) {
      for (int i = 0; i < 4000 && kill(process, 0) == 0; ++i) std::this_thread::sleep_for(5ms);
      expect(kill(process, 0) != 0, "process " + std::to_string(process) + " is left");
    }
  }

 private:
  std::string path_ = "/tmp/rankview-deaths." + std::to_string(getpid());
};

// A tenth crashes, a twentieth each hangs, takes too much memory, throws.
void isolated(const rv::Client& rc) {
  const ProcessFile file;
  const auto careful = rc.load_balanced_view().with({.timeout = 2s, .isolation = rv::process, .memory_limit = 100'000'000});
  const auto results = careful.map(ends_badly, numbers(40), std::vector<std::string>(40, file.path())).results();
  int n = 0;
  for (const auto& each : results) {
    const int way = n % 40;
    if (way < 4 || way == 20 || way == 21) {
      error_of<rv::TaskCrashed>([&] { std::rethrow_exception(each.error()); });
    } else if (way == 10 || way == 11) {
      error_of<rv::TimeoutError>([&] { std::rethrow_exception(each.error()); });
    } else if (way == 30 || way == 31) {
      error_of<rv::RemoteError>([&] { std::rethrow_exception(each.error()); });
    } else {
      expect(each && *each == 2L * n, "item " + std::to_string(n));
    }
    ++n;
  }
  expect(processes(rc).size() == rc.size() && rc.lost().empty(), "the engines are alive");
  file.wait_for_ends();
}

// What an engine runs side by side when it dies ends with it, and others run it.
void side_by_side(const rv::Client& rc) {
  const ProcessFile file;
  const auto victims = processes(rc);
  {
    const Killer killer({victims[chance() % 4]}, 200ms);
    const auto f = [](int n, const std::string& path) {
      std::ofstream(path, std::ios::app) << (std::to_string(getpid()) + "\n") << std::flush;
      std::this_thread::sleep_for(10ms);
      return 2L * n;
    };
    check_twice(
        rc.load_balanced_view().with({.isolation = rv::process}).map_sync(f, numbers(200), std::vector<std::string>(200, file.path())),
        200);
  }
  wait_for_lost(rc, 1);
  file.wait_for_ends();
}

// ---- how soon ----------------------------------------------------------------------------------------------------------------

// Prints how long after each death its task began elsewhere.
void latency(const rv::Client& rc) {
  using Clock = std::chrono::system_clock;
  const auto lasts = [](Clock::rep until) {
    while (Clock::now().time_since_epoch().count() < until) std::this_thread::sleep_for(1ms);
    return 1L;
  };
  while (rc.size() > 1) {
    const auto ids = rc.ids();
    const auto victims = processes(rc);
    // All but one have something to do.
    const auto until = (Clock::now() + 4s).time_since_epoch().count();
    const auto results = rc.load_balanced_view().map(lasts, std::vector<Clock::rep>(victims.size() - 1, until));
    std::this_thread::sleep_for(100ms);
    const std::size_t chosen = chance() % (victims.size() - 1);
    const auto at = std::find(ids.begin(), ids.end(), results.metadata(chosen).engine);
    expect(at != ids.end(), "it has been handed out");
    const auto died = Clock::now();
    kill(victims[static_cast<std::size_t>(at - ids.begin())], SIGKILL);
    expect(results.get().size() == victims.size() - 1, "all have ended");
    const rv::Metadata metadata = results.metadata(chosen);
    expect(metadata.attempt > 1, "it ran again");
    std::printf("latency %.3f ms\n", std::chrono::duration<double, std::milli>(metadata.started - died).count());
  }
}

// ---- ends --------------------------------------------------------------------------------------------------------------------

void die_at_shutdown(const rv::Client& rc) {
  const auto victims = processes(rc);
  check_twice(rc.load_balanced_view().map_sync(twice, numbers(1000)), 1000);
  // Outlives the run.
  std::thread([victim = victims[chance() % 4], when = std::chrono::microseconds(chance() % 3000)] {
    std::this_thread::sleep_for(when);
    kill(victim, SIGKILL);
  }).detach();
}

// When all are there.
void kill_rank0(const rv::Client& rc) {
  expect(processes(rc).size() == 4, "all engines have come");
  kill(getpid(), SIGKILL);
}

void die_at_start(const rv::Client& rc) { check_twice(rc.load_balanced_view().map_sync(twice, numbers(10'000)), 10'000); }

void run(const std::string& what, const rv::Client& rc) {
  const std::map<std::string, std::function<void(const rv::Client&)>> scenarios{
      {"map", [](const rv::Client& client) { map(client, 1); }},
      {"two", [](const rv::Client& client) { map(client, 2); }},
      {"everybody", everybody},
      {"large", large},
      {"arguments", arguments},
      {"subtasks", subtasks},
      {"poison", [](const rv::Client& client) { blame(client, poison, false); }},
      {"crashes", [](const rv::Client& client) { blame(client, crashes, true); }},
      {"once", once},
      {"rehearsed", rehearsed},
      {"stopped", stopped},
      {"stopped_for_ever", stopped_for_ever},
      {"views", views},
      {"at_rest", at_rest},
      {"collective", collective},
      {"team", team},
      {"team_making", team_making},
      {"team_large", team_large},
      {"team_of_rests", team_of_rests},
      {"team_of_leftovers", team_of_leftovers},
      {"team_too_few", team_too_few},
      {"team_once", team_once},
      {"team_aborted", team_aborted},
      {"team_crashes", team_crashes},
      {"team_stopped", team_stopped},
      {"isolated", isolated},
      {"side_by_side", side_by_side},
      {"latency", latency},
      {"start", die_at_start},
      {"shutdown", die_at_shutdown},
      {"rank0", kill_rank0},
  };
  const auto scenario = scenarios.find(what);
  expect(scenario != scenarios.end(), "there is no such scenario: " + what);
  scenario->second(rc);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto seed = static_cast<unsigned>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : std::random_device()());
  chance.seed(seed);
  // Some die before they have come far.
  if (what == "start") {
    const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
    if (rank != nullptr && std::string(rank) == "2") {
      std::thread([when = std::chrono::microseconds(chance() % 400'000)] {
        std::this_thread::sleep_for(when);
        kill(getpid(), SIGKILL);
      }).detach();
    }
  }
  rv::Options options;
  // Where none waits for the dead in MPI, all that live end what they have, however slowly.
  if (what == "team_of_rests" || what == "team_of_leftovers" || what == "team_too_few" || what == "team_once" || what == "team_aborted" ||
      what == "team_crashes")
    options.team_grace = 60s;
  const auto client = [&](rv::Client& rc) {
    try {
      run(what, rc);
      std::printf("seed %u: all is right\n", seed);
      return 7;
    } catch (const std::exception& error) {
      std::printf("seed %u: %s\n", seed, error.what());
      return 1;
    }
  };
  return rv::run(argc, argv, client, options);
}
