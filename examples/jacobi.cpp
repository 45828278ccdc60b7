// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The temperature in a square plate with one hot side (1) and three cold ones (0): Laplace's equation, solved by Jacobi's iteration. Each
// engine has a strip of rows. The solver takes a communicator and is an ordinary MPI program on it; one call runs it on all engines, and it
// leaves the strips as variables, which the client gathers.
//
// Run:    mpirun -np 5 ./jacobi
//
// Output, where what stands in <> differs from run to run:
//   31 x 31 points in strips on <4> engines
//   3478 iterations until no point changes by more than 1e-10
//   centre 0.250000, by symmetry 0.25
//     0.4320  0.5402  0.4320
//     0.1822  0.2500  0.1822
//     0.0680  0.0955  0.0680

#include <rankview/rankview.hpp>

#include <mpi.h>
#include <boost/mpi/collectives/all_reduce.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/operations.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

namespace mpi = boost::mpi;
namespace rv = rankview;

constexpr int inner = 31;         // points in a row and in a column, without the sides
constexpr int width = inner + 2;  // with them

// Iterates until no point changes by more than `tolerance`, and says how often. Each engine leaves its strip as its variable "plate".
long solve(const mpi::communicator& engines, double tolerance) {
  const int me = engines.rank();
  const int above = me > 0 ? me - 1 : MPI_PROC_NULL;
  const int below = me < engines.size() - 1 ? me + 1 : MPI_PROC_NULL;
  const int rows = inner * (me + 1) / engines.size() - inner * me / engines.size();

  // Before and after the strip's own rows is one of the neighbour's, or of the side.
  std::vector<double> now(static_cast<std::size_t>((rows + 2) * width));
  if (above == MPI_PROC_NULL) std::fill_n(now.begin(), width, 1.0);
  std::vector<double> next = now;

  for (long iteration = 1;; ++iteration) {
    // The outermost rows go to the neighbours, theirs come.
    double* const first = now.data() + width;
    double* const last = now.data() + rows * width;
    MPI_Sendrecv(first, width, MPI_DOUBLE, above, 0, last + width, width, MPI_DOUBLE, below, 0, engines, MPI_STATUS_IGNORE);
    MPI_Sendrecv(last, width, MPI_DOUBLE, below, 0, first - width, width, MPI_DOUBLE, above, 0, engines, MPI_STATUS_IGNORE);

    double change = 0;
    for (int row = 1; row <= rows; ++row) {
      const double* const from = now.data() + row * width;
      double* const to = next.data() + row * width;
      for (int i = 1; i <= inner; ++i) {
        to[i] = (from[i - width] + from[i - 1] + from[i + 1] + from[i + width]) / 4;
        change = std::max(change, std::abs(to[i] - from[i]));
      }
    }
    now.swap(next);

    // A maximum is the same in whatever order it is taken, so the strips do not matter.
    if (mpi::all_reduce(engines, change, mpi::maximum<double>()) <= tolerance) {
      rv::this_engine::vars().set("plate", std::vector<double>(now.begin() + width, now.end() - width));
      return iteration;
    }
  }
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView view = rc[rv::slice(0, inner)];  // nobody without a row
    const long iterations = view.apply_sync(solve, 1e-10).front();
    const std::vector<double> plate = view.gather_sync<double>("plate");
    const auto at = [&](int row, int column) { return plate.at(static_cast<std::size_t>((row - 1) * width + column)); };

    constexpr int quarter = width / 4;
    std::printf("%d x %d points in strips on %zu engines\n", inner, inner, view.size());
    std::printf("%ld iterations until no point changes by more than 1e-10\n", iterations);
    std::printf("centre %.6f, by symmetry 0.25\n", at(2 * quarter, 2 * quarter));
    for (int row = quarter; row <= 3 * quarter; row += quarter)
      std::printf("  %.4f  %.4f  %.4f\n", at(row, quarter), at(row, 2 * quarter), at(row, 3 * quarter));
  });
}
