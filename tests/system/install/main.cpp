// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include <rankview/rankview.hpp>

#include <cstdio>

double total(rankview::Client& rc);

int main(int argc, char** argv) {
  return rankview::run(argc, argv, [](rankview::Client& rc) {
    const auto ids = rc[rankview::all].apply_sync([] { return rankview::this_engine::id(); });
    std::printf("%zu engines, total %g\n", ids.size(), total(rc));
  });
}
