// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 17 balance [--quick] [--rounds=N]
// mpirun -np 3 balance [--quick] [--rounds=N]
//
// How much longer a load-balanced map of tasks of very different durations takes than it has to. Tasks sleep, so that many engines can
// share a few cores; the bound is made of the durations that the engines measured. With three ranks: one task of 1 s and a thousand of 1
// ms.
#include "loads.hpp"
#include "loop.hpp"
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <sys/prctl.h>
#include <time.h>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace rv = rankview;

namespace {

// Takes so long, whatever the kernel does. What is shorter than it takes to fall asleep is computed.
double sleep_for(double seconds) {
  if (seconds < 20e-6) {
    const auto start = bench::clock::now();
    while (bench::seconds_since(start) < seconds) {
    }
    return seconds;
  }
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  const double whole = std::floor(seconds);
  until.tv_sec += static_cast<time_t>(whole);
  until.tv_nsec += std::lround((seconds - whole) * 1e9);
  if (until.tv_nsec >= 1'000'000'000) {
    until.tv_nsec -= 1'000'000'000;
    ++until.tv_sec;
  }
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
  return seconds;
}

struct Run {
  double makespan = 0;
  bench::Durations measured;  // in the order of submission
};

class Balance {
 public:
  Balance(const bench::Mpi& mpi, long rounds)
      : mpi_(mpi), engines_(static_cast<std::size_t>(mpi.size) - 1), rounds_(rounds), cluster_(MPI_COMM_WORLD) {}

  void measure(const std::string& name, const bench::Durations& load) {
    struct Ratio {
      double ratio = 0;
      double makespan = 0;
      double bound = 0;
      double best = 0;
    };
    std::vector<Ratio> ratios;
    std::vector<double> loops;
    std::string bound_name;
    for (long round = 0; round < rounds_; ++round) {
      const Run run = by_rankview(load);
      const double loop = by_hand(load);
      if (mpi_.rank != 0) continue;
      // What list scheduling can reach is a property of the load, not of how punctual the kernel was.
      const bool reached = bench::list_schedule(load, engines_) <= 1.01 * bench::lower_bound(load, engines_);
      const double bound = reached ? bench::lower_bound(run.measured, engines_)
                                   : bench::total(run.measured) / static_cast<double>(engines_) + bench::longest(run.measured);
      bound_name = reached ? "max(longest, total/engines)" : "total/engines + longest";
      ratios.push_back({run.makespan / bound, run.makespan, bound, bench::list_schedule(run.measured, engines_)});
      loops.push_back(loop);
    }
    if (mpi_.rank != 0) return;
    std::sort(ratios.begin(), ratios.end(), [](const Ratio& a, const Ratio& b) { return a.ratio < b.ratio; });
    const Ratio middle = ratios[ratios.size() / 2];
    const std::string figure = "makespan, " + name;
    bench::print({.name = figure,
                  .unit = "s",
                  .rankview = middle.makespan,
                  .floor_name = bound_name,
                  .floor = middle.bound,
                  .ratio = middle.ratio,
                  .at_most = 1.05});
    bench::print({.name = figure,
                  .unit = "s",
                  .rankview = middle.makespan,
                  .floor_name = "list scheduling at no cost",
                  .floor = middle.best,
                  .ratio = middle.makespan / middle.best,
                  .at_most = mpi_.size == 3 ? 1.05 : NAN});
    const double loop = bench::median(loops);
    bench::print({.name = figure,
                  .unit = "s",
                  .rankview = middle.makespan,
                  .floor_name = "master-worker loop, 2 in flight",
                  .floor = loop,
                  .ratio = middle.makespan / loop});
  }

 private:
  Run by_rankview(const bench::Durations& load) {
    Run run;
    cluster_.run([&](rv::Client& rc) {
      auto view = rc.load_balanced_view();
      rc[rv::all].apply_sync([] {});
      const auto start = bench::clock::now();
      const auto result = view.map(sleep_for, load);
      result.wait();
      run.makespan = bench::seconds_since(start);
      if (result.get() != load) bench::give_up("a wrong result");
      for (const rv::Metadata& task : result.metadata_all()) run.measured.push_back(task.run_time().count());
    });
    return run;
  }

  double by_hand(const bench::Durations& load) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_.rank != 0) {
      bench::loop::work(sleep_for);
      return 0;
    }
    const auto start = bench::clock::now();
    if (bench::loop::master(load, static_cast<int>(engines_), 2) != load) bench::give_up("a wrong result");
    return bench::seconds_since(start);
  }

  const bench::Mpi& mpi_;
  std::size_t engines_;
  long rounds_;
  rv::Cluster cluster_;
};

void heavy_tails(Balance& balance, std::size_t engines, bool quick) {
  constexpr std::size_t tasks = 2000;
  constexpr std::size_t tiny = 10'000;
  for (const char* const distribution : {"lognormal", "pareto"}) {
    const bench::Durations load = bench::reachable(distribution, tasks, quick ? 2e-3 : 5e-3, engines);
    const std::string what = distribution;
    balance.measure(what + ", random order", load);
    balance.measure(what + ", longest first", bench::worst_first(load));
    balance.measure(what + ", longest last", bench::worst_last(load));
    balance.measure(what + ", behind 10,000 tiny ones", bench::hidden(load, tiny));
  }
}

// With the long one first, one engine has it, and the other does all the rest in the same time: 1 s. With the long one last, who does not
// know how long tasks take can only share out the short ones, and is left with the long one: 1.5 s. That is list scheduling in either case.
void one_long(Balance& balance) {
  bench::Durations load(1000, 1e-3);
  load.insert(load.begin(), 1.0);
  balance.measure("1 s, then 1,000 of 1 ms, np 3", load);
  balance.measure("1,000 of 1 ms, then 1 s, np 3", bench::worst_last(load));
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 3) bench::give_up("run it as mpirun -np 3, or more");
  const bool quick = bench::quick(argc, argv);
  // Who has slept wakes up when it is time, or all would be longer than they should by the timer's slack.
  prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
  Balance balance(mpi, bench::number(argc, argv, "rounds", quick ? 1 : 5));
  if (mpi.size == 3) {
    one_long(balance);
  } else {
    heavy_tails(balance, static_cast<std::size_t>(mpi.size) - 1, quick);
  }
}
