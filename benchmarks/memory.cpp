// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2 memory [--items=N]
//
// What an item of a map of double to double takes on rank 0 while it waits, beyond its argument and its result. The only engine is held up,
// so that all items wait; the growth of the process is the kernel's figure.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <unistd.h>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

namespace {

double trivial(double x) { return x * 0.5 + 1.0; }

// Occupies an engine until the file is gone.
void hold(const std::string& file) {
  while (access(file.c_str(), F_OK) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void measure(rv::Client& rc, std::size_t items) {
  constexpr double argument_and_result = 2 * sizeof(double);
  std::vector<double> input(items);
  for (std::size_t i = 0; i < items; ++i) input[i] = static_cast<double>(i);
  auto view = rc.load_balanced_view();
  view.map_sync(trivial, std::vector<double>(10'000));

  const std::string file = "/tmp/rankview-benchmark-hold." + std::to_string(getpid());
  std::ofstream(file) << "rankview's memory benchmark runs while this exists\n";
  const auto held = rc[0].apply(hold, file);

  bench::forget_peak();
  const double before = bench::status("VmRSS");
  const auto start = bench::clock::now();
  const auto result = view.map(trivial, input);
  const double submitting = bench::seconds_since(start);
  const double waiting = bench::status("VmRSS") - before;
  const double peak = bench::status("VmHWM") - before;
  if (held.ready()) bench::give_up("the engine was not held up");

  unlink(file.c_str());
  const std::vector<double>& output = result.get();
  const double peak_in_all = bench::status("VmHWM") - before;
  for (std::size_t i = 0; i < items; ++i) {
    if (output[i] != trivial(input[i])) bench::give_up("a wrong result of item " + std::to_string(i));
  }

  const auto each = [items](double bytes) { return bytes / static_cast<double>(items) - argument_and_result; };
  bench::print({.name = "memory of a waiting item, peak while submitting", .unit = "bytes more", .rankview = each(peak), .at_most = 64});
  bench::print({.name = "memory of a waiting item, submitted", .unit = "bytes more", .rankview = each(waiting), .at_most = 64});
  bench::print({.name = "memory of an item, peak until the end", .unit = "bytes more", .rankview = each(peak_in_all), .at_most = 64});
  bench::print({.name = "submitting an item", .unit = "ns", .rankview = submitting * 1e9 / static_cast<double>(items)});
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size != 2) bench::give_up("run it as mpirun -np 2");
  const auto items = static_cast<std::size_t>(bench::number(argc, argv, "items", 10'000'000));
  rv::Cluster cluster(MPI_COMM_WORLD);
  cluster.run([items](rv::Client& rc) { measure(rc, items); });
}
