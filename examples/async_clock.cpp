// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// An asynchronous map: fifteen engines sleep ten times one second in about one second, while the client goes on with work of its own
// and looks now and then whether they are done.
//
// Run:    mpirun -np 16 ./async_clock
//
// Output, where what stands in <> differs from run to run:
//   10 naps on 15 engines; the client goes on at once
//   meanwhile it summed <663> million terms: pi = 3.14159
//   elapsed <1.01> s, serial <10.01> s, speedup <9.9>

#include <rankview/rankview.hpp>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace rv = rankview;

void nap(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// A million terms of 4 - 4/3 + 4/5 - 4/7 + ... = pi.
double leibniz(long million) {
  double sum = 0;
  for (long k = million * 1'000'000; k < (million + 1) * 1'000'000; k += 2)
    sum += 4.0 / static_cast<double>(2 * k + 1) - 4.0 / static_cast<double>(2 * k + 3);
  return sum;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::LoadBalancedView view = rc.load_balanced_view();
    const auto naps = view.map(nap, std::vector(10, 1.0));
    std::printf("%zu naps on %zu engines; the client goes on at once\n", naps.size(), view.size());

    double pi = 0;
    long millions = 0;
    while (!naps.ready()) pi += leibniz(millions++);
    naps.get();  // would throw if a nap had failed

    std::printf("meanwhile it summed %ld million terms: pi = %.5f\n", millions, pi);
    std::printf("elapsed %.2f s, serial %.2f s, speedup %.1f\n", naps.wall_time().count(), naps.serial_time().count(), naps.speedup());
  });
}
