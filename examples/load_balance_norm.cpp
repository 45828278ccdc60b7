// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The norm of a vector, computed twice with the same function. Through a direct view each engine holds one part of the vector, and gets it
// by reference; through a load-balanced view pieces of it travel as tasks to whoever is free, and the metadata tells who that was.
//
// Run:    mpirun -np 5 ./load_balance_norm
//
// Output, where what stands in <> differs from run to run:
//   norm of (1, 1/2, 1/3, ... 1/1024)
//     serial         1.2821692482
//     direct         1.2821692482  one part on each of <4> engines
//     load-balanced  1.2821692482  8 tasks
//   task  elements  sum of squares
//      0       128    1.6371520050  on engine <0>
//      1       128    0.0038834314  on engine <1>
//      2       128    0.0012978518  on engine <2>
//      3       128    0.0006495599  on engine <3>
//      4       128    0.0003899390  on engine <1>
//      5       128    0.0002600439  on engine <2>
//      6       128    0.0001857871  on engine <2>
//      7       128    0.0001393630  on engine <0>

#include <rankview/rankview.hpp>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace rv = rankview;

constexpr std::ptrdiff_t size = 1024;
constexpr std::ptrdiff_t piece = 128;

double sum_of_squares(const std::vector<double>& x) { return std::inner_product(x.begin(), x.end(), x.begin(), 0.0); }

// From the sums of squares of all parts.
double norm(const std::vector<double>& sums) { return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0)); }

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    std::vector<double> x(size);
    for (double k = 1; double& element : x) element = 1 / k++;
    const double serial = std::sqrt(sum_of_squares(x));

    const rv::DirectView all = rc[rv::all];
    all.scatter_sync("x", x);
    const double direct = norm(all.apply_sync(sum_of_squares, rv::ref("x")));

    std::vector<std::vector<double>> pieces;
    for (auto at = x.begin(); at != x.end(); at += piece) pieces.emplace_back(at, at + piece);
    const auto sums = rc.load_balanced_view().map(sum_of_squares, pieces);
    const double balanced = norm(sums.get());

    std::printf("norm of (1, 1/2, 1/3, ... 1/%td)\n", size);
    std::printf("  serial         %.10f\n", serial);
    std::printf("  direct         %.10f  one part on each of %zu engines\n", direct, all.size());
    std::printf("  load-balanced  %.10f  %zu tasks\n", balanced, sums.size());
    std::printf("task  elements  sum of squares\n");
    for (std::size_t i = 0; const double sum : sums) {
      std::printf("%4zu  %8zu    %.10f  on engine %d\n", i, pieces[i].size(), sum, sums.metadata(i).engine);
      ++i;
    }

    // The order of the additions differs, and so may the last digits.
    if (std::abs(direct - serial) > 1e-14 || std::abs(balanced - serial) > 1e-14) throw std::runtime_error("the norms differ");
  });
}
