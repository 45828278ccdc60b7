// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2|3 graph [--quick] [--tasks=N] [--probes=N]
//
// A random graph of tasks, each submitted by itself after three earlier ones: time and memory a task. Then how long an urgent task takes
// while a million others wait, and how soon a task that runs sees that it is given up.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <time.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

namespace {

double trivial(double x) { return x * 0.5 + 1.0; }

double microsecond(double x) {
  for (int i = 0; i < 700; ++i) x = x * 0.999 + 0.5;
  return x;
}

double millisecond(double x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return x;
}

// Memory of this process, in bytes.
double resident() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

// CPU seconds of this process so far, by all its threads.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string where(const rv::Client& rc) { return ", np " + std::to_string(rc.size() + 1); }

// ---- dependencies --------------------------------------------------------------------------------------------------------------

void graph(rv::Client& rc, std::uint32_t tasks) {
  constexpr int edges = 3;
  std::mt19937 random(1);
  std::vector<std::uint32_t> on(std::size_t{tasks} * edges);
  for (std::uint32_t i = 1; i < tasks; ++i) {
    for (int edge = 0; edge < edges; ++edge)
      on[std::size_t{i} * edges + static_cast<std::size_t>(edge)] = static_cast<std::uint32_t>(random() % i);
  }
  const auto view = rc.load_balanced_view();
  rc[rv::all].apply_sync([] {});
  std::vector<rv::AsyncResult<double>> results;
  results.reserve(tasks);
  const double before = resident();
  const double cpu_before = cpu_seconds();
  const auto start = bench::clock::now();
  for (std::uint32_t i = 0; i < tasks; ++i) {
    rv::Flags flags;
    if (i > 0) {
      for (int edge = 0; edge < edges; ++edge) flags.after->add(results[on[std::size_t{i} * edges + static_cast<std::size_t>(edge)]]);
    }
    results.push_back(view.with(std::move(flags)).apply(trivial, static_cast<double>(i)));
  }
  const double submitted = bench::seconds_since(start);
  const double grown = resident() - before;
  rc.wait();
  const double elapsed = bench::seconds_since(start);
  const double cpu = cpu_seconds() - cpu_before;
  double computing = 0;
  for (std::uint32_t i = 0; i < tasks; ++i) {
    if (results[i].get() != trivial(i)) bench::give_up("a wrong result of task " + std::to_string(i));
    computing += results[i].metadata(0).run_time().count();
  }
  // What the tasks take is shared by the engines.
  const double each = (elapsed - computing / static_cast<double>(rc.size())) / tasks;
  bench::print({.name = "graph, a task with 3 edges" + where(rc), .unit = "us", .rankview = each * 1e6, .at_most = 2});
  bench::print({.name = "graph, submitting a task" + where(rc), .unit = "us", .rankview = submitted * 1e6 / tasks});
  bench::print({.name = "graph, rank 0's CPU time a task" + where(rc), .unit = "us", .rankview = cpu * 1e6 / tasks});
  bench::print({.name = "graph, memory of a task with its result" + where(rc), .unit = "bytes", .rankview = grown / tasks});
}

// The same number of tasks, each by itself, without edges: what the graph costs more.
void without_edges(rv::Client& rc, std::uint32_t tasks) {
  const auto view = rc.load_balanced_view();
  std::vector<rv::AsyncResult<double>> results;
  results.reserve(tasks);
  const auto start = bench::clock::now();
  for (std::uint32_t i = 0; i < tasks; ++i) results.push_back(view.apply(trivial, static_cast<double>(i)));
  rc.wait();
  bench::print({.name = "a task by itself, no edges" + where(rc), .unit = "us", .rankview = bench::seconds_since(start) * 1e6 / tasks});
}

// ---- priority ------------------------------------------------------------------------------------------------------------------

// The urgent task waits for the first engine that is free, so for what is left of one task, and for messages.
template <class F>
void urgent(rv::Client& rc, const std::string& what, F others, double running, std::size_t waiting, int probes) {
  const auto view = rc.load_balanced_view();
  const auto first = view.with({.priority = 1});
  const std::vector<double> input(waiting + waiting / 4, 1.0);
  std::vector<double> times;
  std::mt19937 random(1);
  view.map_sync(others, std::vector<double>(100, 1.0));
  first.apply_sync(trivial, 1.0);
  while (times.size() < static_cast<std::size_t>(probes)) {
    auto rest = view.map(others, input);
    for (;;) {
      // Out of step with the tasks.
      std::this_thread::sleep_for(std::chrono::microseconds(2000 + random() % 1000));
      if (rc.queue_status().unassigned < waiting || times.size() == static_cast<std::size_t>(probes)) break;
      const auto start = bench::clock::now();
      first.apply_sync(trivial, 1.0);
      times.push_back(bench::seconds_since(start) * 1e3);
    }
    rest.abort();
    rest.wait();
  }
  const std::string name = "an urgent task while a million " + what + " wait" + where(rc);
  bench::print({.name = name + ", median", .unit = "ms", .rankview = bench::median(times), .at_most = 1 + running});
  bench::print({.name = name + ", worst of " + std::to_string(probes),
                .unit = "ms",
                .rankview = *std::max_element(times.begin(), times.end()),
                .at_most = 1 + running});
}

// ---- abort ---------------------------------------------------------------------------------------------------------------------

// Computes until it is to stop, and tells when it saw that; the clock is the same for all processes of a machine.
double seen_at() {
  while (!rv::this_task::stop_requested()) continue;
  return std::chrono::duration<double>(bench::clock::now().time_since_epoch()).count();
}

void aborts(rv::Client& rc, int probes) {
  const auto view = rc.load_balanced_view();
  std::mt19937 random(1);
  std::vector<double> times;
  for (int probe = 0; probe < probes; ++probe) {
    const auto result = view.apply(seen_at);
    while (result.metadata().status == rv::Status::waiting) rc.spin();
    // Out of step with the pulse.
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + random() % 1000));
    const double start = std::chrono::duration<double>(bench::clock::now().time_since_epoch()).count();
    result.abort();
    times.push_back((result.get() - start) * 1e3);
  }
  const std::string name = "a task that runs sees its abort" + where(rc);
  bench::print({.name = name + ", median", .unit = "ms", .rankview = bench::median(times), .at_most = 10});
  bench::print({.name = name + ", worst of " + std::to_string(probes),
                .unit = "ms",
                .rankview = *std::max_element(times.begin(), times.end()),
                .at_most = 10});
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 2) bench::give_up("run it as mpirun -np 2, or more");
  const bool quick = bench::quick(argc, argv);
  const auto tasks = static_cast<std::uint32_t>(bench::number(argc, argv, "tasks", quick ? 200'000 : 1'000'000));
  const int probes = static_cast<int>(bench::number(argc, argv, "probes", 50));
  const std::string only = bench::option(argc, argv, "only", "");
  rv::Cluster cluster(MPI_COMM_WORLD);
  if (only.empty() || only == "graph") cluster.run([tasks](rv::Client& rc) { graph(rc, tasks); });
  if (only.empty() || only == "apart") cluster.run([tasks](rv::Client& rc) { without_edges(rc, tasks); });
  if (only.empty() || only == "abort") cluster.run([probes](rv::Client& rc) { aborts(rc, probes); });
  if (only.empty() || only == "urgent") {
    cluster.run([probes](rv::Client& rc) {
      urgent(rc, "of 1 us", microsecond, 0.001, 1'000'000, probes);
      urgent(rc, "of 1 ms", millisecond, 1.06, 1'000'000, probes);
    });
  }
}
