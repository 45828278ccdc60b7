// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A double loop as one map: the volume under a surface, with a task for each cell of a grid. The cells are numbered in the order of the
// loops, and two ranges in step tell the x and the y of each number. The results come in that order whoever computed them, so their sum
// has the same digits on any number of engines.
//
// Run:    mpirun -np 5 ./nested_loops
//
// Output:
//   1 / (1 + x + y)^2 over the unit square has a volume of ln 4/3 = 0.28768207
//        grid   tasks      volume     error
//     2 x   3       6  0.27913117   8.6e-03
//    20 x  30     600  0.28759020   9.2e-05
//   200 x 300   60000  0.28768115   9.2e-07

#include <rankview/rankview.hpp>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <ranges>
#include <vector>

namespace rv = rankview;

double height(double x, double y) { return 1 / ((1 + x + y) * (1 + x + y)); }

// Of the i-th of n parts of the unit interval.
double middle(int i, int n) { return (i + 0.5) / n; }

// What these loops would add up, computed on the engines:
//
// for (int i = 0; i < nx; ++i)
//   for (int j = 0; j < ny; ++j) sum += height(middle(i, nx), middle(j, ny));
double sum_of_heights(const rv::LoadBalancedView& view, int nx, int ny) {
  const auto cells = std::views::iota(0, nx * ny);
  const auto x = cells | std::views::transform([=](int cell) { return middle(cell / ny, nx); });
  const auto y = cells | std::views::transform([=](int cell) { return middle(cell % ny, ny); });
  const std::vector<double> heights = view.map_sync(height, x, y);
  return std::accumulate(heights.begin(), heights.end(), 0.0);
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const double exact = std::log(4.0 / 3.0);
    std::printf("1 / (1 + x + y)^2 over the unit square has a volume of ln 4/3 = %.8f\n", exact);
    std::printf("     grid   tasks      volume     error\n");
    for (const int n : {1, 10, 100}) {
      const int nx = 2 * n;
      const int ny = 3 * n;
      const double volume = sum_of_heights(rc.load_balanced_view(), nx, ny) / (nx * ny);
      std::printf("%3d x %3d  %6d  %.8f  %8.1e\n", nx, ny, nx * ny, volume, std::abs(volume - exact));
    }
  });
}
