// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// A second translation unit, so that nothing in the headers may be defined twice.
#include <rankview/rankview.hpp>

#include <ranges>

double total(rankview::Client& rc) {
  double sum = 0;
  for (const double x : rc.load_balanced_view().map([](int n) { return 0.5 * n; }, std::views::iota(0, 101))) sum += x;
  return sum;
}
