// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A hundred tasks, each a little longer than the one before, handed out one at a time and then in chunks of four. Chunks save messages,
// which makes no difference to tasks as long as these, and cost balance: the last chunks are the longest, and who gets none of them waits.
//
// Run:    mpirun -np 5 ./uneven_sleeps
//
// A line shows what an engine did: each digit is the tens digit of the number of the task that ran in those 10 ms, a dot is no task.
//
// Output, where what stands in <> differs from run to run:
//   100 tasks on 4 engines
//   chunksize 1: elapsed <0.53> s, serial <2.03> s, speedup <3.8>
//     engine 0, <25> tasks: <01222333444445555566666666777777888888888899999999...>
//     engine 1, <25> tasks: <012223334444445555566666666777777888888888899999999..>
//     engine 2, <25> tasks: <1122333334445555555666667777777778888888999999999999.>
//     engine 3, <25> tasks: <01..2333344445555555666667777777778888888.99999999999>
//   chunksize 4: elapsed <0.57> s, serial <2.02> s, speedup <3.5>
//     engine 0, <28> tasks: <.11333333444455556666666666688888888888889999999999999999>
//     engine 1, <24> tasks: <022223333335555555556666677777788888888888888............>
//     engine 2, <24> tasks: <0122224444444555555555777777777777888888889999999........>
//     engine 3, <24> tasks: <11222334444444466666666667777777777779999999999999999....>

#include <rankview/rankview.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

constexpr int tasks = 100;
constexpr auto step = 400us;   // by which each task is longer than the one before
constexpr auto column = 10ms;  // of a timeline

void nap(int task) { std::this_thread::sleep_for((task + 1) * step); }

// What an engine did in the middle of each column, from the submission to the end of the last task.
std::string timeline(const std::vector<rv::Metadata>& naps, int engine) {
  const auto end = std::ranges::max(naps, {}, &rv::Metadata::completed).completed;
  std::string line;
  for (auto now = naps.front().submitted + column / 2; now < end; now += column) {
    const auto its = std::ranges::find_if(
        naps, [&](const rv::Metadata& nap) { return nap.engine == engine && nap.started <= now && now < nap.completed; });
    line += its == naps.end() ? '.' : static_cast<char>('0' + (its - naps.begin()) * 10 / tasks);
  }
  return line;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::LoadBalancedView view = rc.load_balanced_view();
    std::printf("%d tasks on %zu engines\n", tasks, view.size());
    for (const int chunksize : {1, 4}) {
      const auto naps = view.with({.chunksize = chunksize}).map(nap, std::views::iota(0, tasks));
      naps.get();  // would throw if a nap had failed

      std::printf("chunksize %d: elapsed %.2f s, serial %.2f s, speedup %.1f\n", chunksize, naps.wall_time().count(),
                  naps.serial_time().count(), naps.speedup());
      const std::vector<rv::Metadata> all = naps.metadata_all();
      for (const int engine : rc.ids())
        std::printf("  engine %d, %2td tasks: %s\n", engine, std::ranges::count(all, engine, &rv::Metadata::engine),
                    timeline(all, engine).c_str());
    }
  });
}
