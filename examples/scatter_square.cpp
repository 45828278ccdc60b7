// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// An array is dealt out to the engines, squared where it lies, and put together again. The function that squares knows nothing of engines:
// it gets the part that its engine holds by reference.
//
// Run:    mpirun -np 5 ./scatter_square
//
// Output, where what stands in <> differs from run to run:
//   200000 normal deviates on <4> engines
//   mean of squares 1.0028
//   all squares are the same as computed here

#include <rankview/rankview.hpp>

#include <cstddef>
#include <cstdio>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

namespace rv = rankview;

// The same numbers every time.
std::vector<double> deviates(std::size_t n) {
  std::mt19937_64 random(2022);
  std::normal_distribution<double> normal;
  std::vector<double> numbers(n);
  for (double& x : numbers) x = normal(random);
  return numbers;
}

void square(std::vector<double>& numbers) {
  for (double& x : numbers) x *= x;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    std::vector<double> numbers = deviates(200'000);

    all.scatter_sync("numbers", numbers);
    all.apply_sync(square, rv::ref("numbers"));
    const std::vector<double> squares = all.gather_sync<double>("numbers");

    const double sum = std::accumulate(squares.begin(), squares.end(), 0.0);
    std::printf("%zu normal deviates on %zu engines\n", squares.size(), all.size());
    std::printf("mean of squares %.4f\n", sum / static_cast<double>(squares.size()));

    // A multiplication is rounded the same way everywhere, so the comparison can be exact.
    square(numbers);
    if (squares != numbers) throw std::runtime_error("the engines' squares differ from those computed here");
    std::printf("all squares are the same as computed here\n");
  });
}
