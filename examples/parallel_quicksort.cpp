// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// Sorts by fork and join: a task parts its numbers, submits a task for the upper part, sorts the lower part itself, and waits for the
// other. While it waits, its engine runs other tasks, so that no engine is lost to waiting.
//
// Run:    mpirun -np 5 ./parallel_quicksort [numbers]
//
// Output:
//   2000000 numbers in order: 652 1453 5230 ... 2147481301 2147481993 2147482697
//   the client asked for 1 task; its engines were given 40

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace rv = rankview;

using Numbers = std::vector<std::int32_t>;

// Shorter parts are not worth a message.
constexpr std::size_t short_part = 100'000;

Numbers sort_numbers(Numbers numbers) {
  if (numbers.size() <= short_part) {
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  const std::int32_t pivot = numbers[numbers.size() / 2];
  const auto equal = std::partition(numbers.begin(), numbers.end(), [pivot](std::int32_t x) { return x < pivot; });
  const auto above = std::partition(equal, numbers.end(), [pivot](std::int32_t x) { return x == pivot; });

  auto upper = rv::this_task::submit(sort_numbers, Numbers(above, numbers.end()));
  Numbers sorted = sort_numbers(Numbers(numbers.begin(), equal));
  sorted.insert(sorted.end(), equal, above);
  const Numbers rest = upper.get();
  sorted.insert(sorted.end(), rest.begin(), rest.end());
  return sorted;
}

std::uint64_t tasks_done(const rv::Client& rc) {
  std::uint64_t done = 0;
  for (const rv::EngineStatus& engine : rc.queue_status().engines) done += engine.completed;
  return done;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [&](rv::Client& rc) {
    const long count = argc > 1 ? std::atol(argv[1]) : 2'000'000;
    if (count < 6) throw std::invalid_argument("there must be at least 6 numbers to sort, not " + std::string(argv[1]));
    Numbers numbers(static_cast<std::size_t>(count));
    std::mt19937 random(1);
    for (std::int32_t& x : numbers) x = static_cast<std::int32_t>(random() >> 1U);

    const Numbers sorted = rc.load_balanced_view().apply_sync(sort_numbers, numbers);
    std::sort(numbers.begin(), numbers.end());
    if (sorted != numbers) throw std::logic_error("the numbers are not in order");

    std::printf("%zu numbers in order: %d %d %d ... %d %d %d\n", sorted.size(), sorted[0], sorted[1], sorted[2], sorted.end()[-3],
                sorted.end()[-2], sorted.end()[-1]);
    std::printf("the client asked for 1 task; its engines were given %llu\n", static_cast<unsigned long long>(tasks_done(rc)));
  });
}
