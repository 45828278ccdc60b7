// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 3 collectives_memory [--bytes=N]
//
// What rank 0 takes at most while it scatters a vector, and gathers it into the same one, beside what it had before; the kernel's figures.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

double sum(const std::vector<double>& v) { return std::reduce(v.begin(), v.end()); }

// The most that the process takes while `action` runs.
template <class Action>
void measure(const std::string& what, const Action& action) {
  bench::forget_peak();
  const double before = bench::status("VmRSS");
  action();
  const double peak = bench::status("VmHWM");
  bench::print({.name = "memory of rank 0, peak while it " + what,
                .unit = "MB",
                .rankview = peak / 1e6,
                .floor_name = "before",
                .floor = before / 1e6,
                .ratio = peak / before,
                .at_most = 1.05});
}

void measure(rv::Client& rc, std::size_t size) {
  std::vector<double> data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<double>(i % 1000);
  const double expected = sum(data);
  const rv::DirectView all = rc[rv::all];
  const std::string amount = std::to_string(size * sizeof(double) / 1'000'000) + " MB";

  measure("scatters " + amount, [&] { all.scatter_sync("part", data); });
  if (sum(all.apply_sync(sum, rv::ref("part"))) != expected) bench::give_up("a wrong result of scatter");

  std::fill(data.begin(), data.end(), 0.0);
  measure("gathers " + amount, [&] { all.gather_into_sync("part", data); });
  if (sum(data) != expected) bench::give_up("a wrong result of gather");
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 2) bench::give_up("run it as mpirun -np 3");
  const auto size = static_cast<std::size_t>(bench::number(argc, argv, "bytes", 1'000'000'000)) / sizeof(double);
  rv::Cluster cluster(MPI_COMM_WORLD);
  cluster.run([size](rv::Client& rc) { measure(rc, size); });
}
