// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 5 idle [--seconds=N]
//
// Who has nothing to do should use no CPU: the engines, and rank 0, whose pulse runs while a call is outstanding.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <sys/resource.h>
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

namespace {

// What the process, with all its threads, has used.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// A long task that needs no CPU itself; returns what its process used.
double share_while_asleep(double seconds) {
  const double before = cpu_seconds();
  sleep(seconds);
  return (cpu_seconds() - before) / seconds * 100;
}

void print(const std::string& who, double percent, bool required, double floor = NAN) {
  bench::Figure figure{.name = "CPU of " + who, .unit = "% of a core", .rankview = percent};
  if (required) figure.at_most = 3.0;
  if (!std::isnan(floor)) {
    figure.floor_name = "blocking MPI_Recv";
    figure.floor = floor;
  }
  bench::print(figure);
}

// What a rank uses that waits in MPI_Recv; on rank 0, the mean of the others.
double share_in_receive(const bench::Mpi& mpi, double seconds) {
  double share = 0;
  int token = 0;
  MPI_Barrier(MPI_COMM_WORLD);
  if (mpi.rank == 0) {
    sleep(seconds);
    for (int rank = 1; rank < mpi.size; ++rank) MPI_Send(&token, 1, MPI_INT, rank, 0, MPI_COMM_WORLD);
  } else {
    const double before = cpu_seconds();
    const auto start = bench::clock::now();
    MPI_Recv(&token, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    share = (cpu_seconds() - before) / bench::seconds_since(start) * 100;
  }
  double sum = 0;
  MPI_Reduce(&share, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  return sum / (mpi.size - 1);
}

void measure(rv::Client& rc, double seconds, double floor) {
  rv::DirectView all = rc[rv::all];
  // Shares of the engines and, last, of rank 0 while `action` runs on it.
  const auto shares_during = [&](const std::vector<int>& engines, auto action) {
    rv::DirectView view = rc[engines];
    const std::vector<double> before = view.apply_sync(cpu_seconds);
    const auto start = bench::clock::now();
    const double own_before = cpu_seconds();
    action();
    const double own = cpu_seconds() - own_before;
    const double elapsed = bench::seconds_since(start);
    std::vector<double> used = view.apply_sync(cpu_seconds);
    for (std::size_t i = 0; i < used.size(); ++i) used[i] = (used[i] - before[i]) / elapsed * 100;
    used.push_back(own / elapsed * 100);
    return used;
  };

  // They have been busy, as in a real program; now nothing is outstanding.
  rc.load_balanced_view().map_sync([](int i) { return i; }, std::vector<int>(100'000));
  const auto idle = shares_during(rc.ids(), [seconds] { sleep(seconds); });
  for (std::size_t i = 0; i + 1 < idle.size(); ++i) print("idle engine " + std::to_string(i), idle[i], true, floor);
  print("rank 0, asleep, nothing outstanding", idle.back(), true);

  // One long task; the client sleeps, or waits for it.
  std::vector<int> others = rc.ids();
  others.erase(others.begin());
  for (const bool waits : {false, true}) {
    const auto task = rc[0].apply(share_while_asleep, seconds);
    const auto used = shares_during(others, [&] {
      if (waits) {
        task.wait();
      } else {
        sleep(seconds * 0.9);
      }
    });
    const std::string how = waits ? "in get()" : "asleep";
    print("rank 0, " + how + ", one task outstanding", used.back(), !waits);
    print("the busiest of the other engines, client " + how, *std::max_element(used.begin(), used.end() - 1), true);
    print("the engine in a task that sleeps, client " + how, task.get(), false);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 3) bench::give_up("run it as mpirun -np 5");
  const auto seconds = static_cast<double>(bench::number(argc, argv, "seconds", bench::quick(argc, argv) ? 2 : 5));
  const double floor = share_in_receive(mpi, 1);
  rv::Cluster cluster(MPI_COMM_WORLD);
  cluster.run([&](rv::Client& rc) { measure(rc, seconds, floor); });
}
