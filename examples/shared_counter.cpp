// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// All engines add to one counter and one histogram, and no addition is lost. Nothing is locked: whichever engine runs a task adds to
// variables of its own, on which its tasks run one after the other, and at the end two reductions fold what all engines have.
//
// Run:    mpirun -np 5 ./shared_counter
//
// Output, where what stands in <> differs from run to run:
//   1000 tasks on <4> engines counted <253000 257000 259000 231000> numbers, in all 1000000
//   digit       0       1       2       3       4       5       6       7       8       9
//   times  600000  600000  600000  600000  600000  600000  600000  600000  600000  600000
//   nothing is lost: each digit has a tenth of 6000000

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <ranges>
#include <stdexcept>
#include <vector>

namespace rv = rankview;

constexpr int tasks = 1000;
constexpr long numbers_a_task = 1000;
constexpr int places = 6;  // enough to write the largest number; smaller ones get leading zeros

// Counts the numbers of a task, and the digits with which they are written.
void count(int task) {
  long& counter = rv::this_engine::vars().get<long>("counter");
  std::vector<long>& histogram = rv::this_engine::vars().get<std::vector<long>>("histogram");
  for (long number = task * numbers_a_task; number < (task + 1) * numbers_a_task; ++number) {
    ++counter;
    long rest = number;
    for (int place = 0; place < places; ++place, rest /= 10) ++histogram[static_cast<std::size_t>(rest % 10)];
  }
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    all["counter"] = 0L;
    all["histogram"] = std::vector<long>(10);

    rc.load_balanced_view().map_sync(count, std::views::iota(0, tasks));

    const long counter = all.reduce_sync<long>("counter", std::plus<>());
    const std::vector<long> histogram = all.reduce_sync<std::vector<long>>("histogram", std::plus<>());

    std::printf("%d tasks on %zu engines counted", tasks, all.size());
    for (const long its : all.pull_sync<long>("counter")) std::printf(" %ld", its);
    std::printf(" numbers, in all %ld\ndigit", counter);
    for (int digit = 0; digit < 10; ++digit) std::printf(" %7d", digit);
    std::printf("\ntimes");
    for (const long times : histogram) std::printf(" %7ld", times);
    std::printf("\n");

    // From 000000 to 999999 each digit stands equally often at each place.
    const long digits = tasks * numbers_a_task * places;
    if (counter != tasks * numbers_a_task || std::ranges::count(histogram, digits / 10) != 10)
      throw std::runtime_error("some additions are lost");
    std::printf("nothing is lost: each digit has a tenth of %ld\n", digits);
  });
}
