// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The area under a curve, cut into bars. No bar travels: each engine knows from its own number which bars are its share, adds them up, and
// keeps the sum as a variable; a reduction adds up those.
//
// Run:    mpirun -np 5 ./area_under_curve
//
// Output:
//   0.7 x^3 - 2 x^2 + 4 between 0 and 3 has an area of 8.175
//       bars         area        error
//         10   8.14912500   0.02587500
//        100   8.17474125   0.00025875
//   20000000   8.17500000   0.00000000

#include <rankview/rankview.hpp>

#include <cmath>
#include <cstdio>
#include <functional>

namespace rv = rankview;

constexpr double from = 0;
constexpr double to = 3;

double curve(double x) { return 0.7 * x * x * x - 2 * x * x + 4; }

// Its integral, up to a constant.
double integral(double x) { return 0.7 / 4 * x * x * x * x - 2.0 / 3 * x * x * x + 4 * x; }

// The engine's share of `bars` bars. Each is as high as the curve is in its middle.
void add_share(long bars) {
  const long engine = rv::this_engine::id();
  const long engines = rv::this_engine::size();
  const double width = (to - from) / static_cast<double>(bars);

  double heights = 0;
  for (long bar = bars * engine / engines; bar < bars * (engine + 1) / engines; ++bar)
    heights += curve(from + (static_cast<double>(bar) + 0.5) * width);
  rv::this_engine::vars().set("area", heights * width);
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    const double exact = integral(to) - integral(from);
    std::printf("0.7 x^3 - 2 x^2 + 4 between 0 and 3 has an area of %.3f\n", exact);
    std::printf("    bars         area        error\n");
    for (const long bars : {10, 100, 20'000'000}) {
      all.apply_sync(add_share, bars);
      const double area = all.reduce_sync<double>("area", std::plus<>());
      std::printf("%8ld  %11.8f  %11.8f\n", bars, area, std::abs(area - exact));
    }
  });
}
