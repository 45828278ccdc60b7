// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A load-balanced map: the runtime decides which engine computes which item. The results come in the order of the items, each as
// soon as it is there, and the metadata tells who computed it.
//
// Run:    mpirun -np 5 ./map_longrun
//
// Output, where what stands in <> differs from run to run:
//   longrun(1000) = 491.054  on engine <0>
//   longrun( 500) = 256.951  on engine <1>
//   longrun(1000) = 491.054  on engine <2>
//   longrun( 200) = 104.357  on engine <3>

#include <rankview/rankview.hpp>

#include <cstddef>
#include <cstdio>
#include <random>
#include <vector>

namespace rv = rankview;

// The sum of n random numbers between 0 and 1; the same every time, since n is the seed.
double longrun(int n) {
  std::mt19937 random(static_cast<unsigned>(n));
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(random());
  return sum / static_cast<double>(random.max());
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const std::vector sizes{1000, 500, 1000, 200};
    const auto sums = rc.load_balanced_view().map(longrun, sizes);

    for (std::size_t i = 0; const double sum : sums) {
      std::printf("longrun(%4d) = %7.3f  on engine %d\n", sizes[i], sum, sums.metadata(i).engine);
      ++i;
    }
  });
}
