// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2 metg [--quick] [--tasks=N] [--rounds=N] [--sweep]
//
// METG(50 %), the minimum effective task granularity (Slaughter et al., Task Bench, SC 2020): the shortest task with which half of the
// engines' time goes into tasks. For a load-balanced map, and for the master-worker loop that one would write by hand. --sweep prints
// how long tasks of 1 us to 10 ms take instead, with any number of engines.
#include "loop.hpp"
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

// Computes for so many steps, each of which needs the one before.
double compute(double steps) {
  double x = 1;
  for (auto left = static_cast<long>(steps); left > 0; --left) x = x * 0.999 + 0.5;
  return x;
}

// Nanoseconds a step, the least of some: what the machine does when nothing else runs.
double calibrate() {
  constexpr double steps = 1e6;
  double least = 1e300;
  for (int i = 0; i < 20; ++i) {
    const auto start = bench::clock::now();
    const volatile double result = compute(steps);
    static_cast<void>(result);
    least = std::min(least, bench::seconds_since(start));
  }
  return least / steps * 1e9;
}

class Metg {
 public:
  explicit Metg(const bench::Mpi& mpi) : mpi_(mpi), cluster_(MPI_COMM_WORLD) {
    // By an engine, since that is where tasks run.
    if (mpi.rank == 1) step_ = calibrate();
    MPI_Bcast(&step_, 1, MPI_DOUBLE, 1, MPI_COMM_WORLD);
  }

  // Seconds for so many tasks of a length in nanoseconds, on rank 0; `in_flight` of the loop, 0 for rankview.
  double time(int in_flight, double length, std::size_t tasks) {
    const std::vector<double> input(tasks, std::round(length / step_));
    double elapsed = 0;
    if (in_flight == 0) {
      cluster_.run([&](rv::Client& rc) {
        rv::LoadBalancedView view = rc.load_balanced_view();
        rc[rv::all].apply_sync([] {});
        const auto start = bench::clock::now();
        check(input, view.map_sync(compute, input));
        elapsed = bench::seconds_since(start);
      });
      return elapsed;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_.rank != 0) {
      bench::loop::work(compute);
      return 0;
    }
    const auto start = bench::clock::now();
    check(input, bench::loop::master(input, mpi_.size - 1, in_flight));
    return bench::seconds_since(start);
  }

  // The share of the engines' time that goes into tasks, the same on every rank.
  double efficiency(int in_flight, double length, std::size_t tasks, long rounds) {
    std::vector<double> shares;
    for (long round = 0; round < rounds; ++round) {
      const double elapsed = time(in_flight, length, tasks);
      shares.push_back(length * 1e-9 * static_cast<double>(tasks) / (elapsed * (mpi_.size - 1)));
    }
    double share = bench::median(shares);
    MPI_Bcast(&share, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    return share;
  }

  // Nanoseconds. Lengths grow by half until the share is reached; in between it is taken to be straight in the logarithm.
  double metg(int in_flight, std::size_t tasks, long rounds) {
    double before = 0;
    for (double length = 50; length < 1e6; length *= 1.5) {
      const double share = efficiency(in_flight, length, tasks, rounds);
      if (share >= 0.5) return before == 0 ? length : length * std::pow(1.5, -(share - 0.5) / (share - before));
      before = share;
    }
    bench::give_up("no task is long enough");
  }

 private:
  static void check(const std::vector<double>& input, const std::vector<double>& output) {
    if (output.size() != input.size() || output.back() != compute(input.back())) bench::give_up("a wrong result");
  }

  const bench::Mpi& mpi_;
  rv::Cluster cluster_;
  double step_ = 1;
};

void report(const bench::Mpi& mpi, std::size_t tasks, long rounds) {
  Metg metg(mpi);
  const std::size_t fewer = tasks / 10;  // of those that take longer
  metg.efficiency(0, 100, tasks, 1);
  metg.efficiency(2, 100, fewer, 1);
  const double here = metg.metg(0, tasks, rounds) * 1e-3;
  std::map<int, double> loops;
  for (const int in_flight : {2, 1, 8}) loops[in_flight] = metg.metg(in_flight, fewer, rounds) * 1e-3;
  if (mpi.rank != 0) return;
  const std::string where = ", np " + std::to_string(mpi.size);
  bench::print({.name = "METG(50 %)" + where, .unit = "us", .rankview = here, .at_most = mpi.size == 2 ? 0.5 : NAN});
  for (const int in_flight : {1, 2, 8}) {
    bench::print({.name = "METG(50 %)" + where,
                  .unit = "us",
                  .rankview = here,
                  .floor_name = "the loop, " + std::to_string(in_flight) + " in flight",
                  .floor = loops[in_flight],
                  .ratio = here / loops[in_flight]});
  }
}

// One line for each length and contender, for plots.sh.
void sweep(const bench::Mpi& mpi, bool quick) {
  Metg metg(mpi);
  for (const int in_flight : {0, 1, 2, 8}) metg.efficiency(in_flight, 1000, 10'000, 1);
  for (const double us : {1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10'000.0}) {
    // About as long each.
    const double seconds = quick ? 0.1 : 0.5;
    const auto tasks = static_cast<std::size_t>(std::clamp(seconds * 1e6 / us * (mpi.size - 1), quick ? 20.0 : 50.0, 400'000.0));
    for (const int in_flight : {0, 1, 2, 8}) {
      std::vector<double> times;
      for (int round = 0; round < 3; ++round) times.push_back(metg.time(in_flight, us * 1e3, tasks));
      if (mpi.rank != 0) continue;
      const double elapsed = bench::median(times);
      const std::string who = in_flight == 0 ? "rankview" : "loop, " + std::to_string(in_flight) + " in flight";
      std::printf(R"({"who": "%s", "engines": %d, "length_us": %g, "tasks": %zu, "seconds": %.6g})"
                  "\n",
                  who.c_str(), mpi.size - 1, us, tasks, elapsed);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 2) bench::give_up("run it as mpirun -np 2, or more");
  const bool quick = bench::quick(argc, argv);
  if (bench::has(argc, argv, "sweep")) {
    sweep(mpi, quick);
  } else {
    report(mpi, static_cast<std::size_t>(bench::number(argc, argv, "tasks", quick ? 20'000 : 1'000'000)),
           bench::number(argc, argv, "rounds", quick ? 1 : 7));
  }
}
