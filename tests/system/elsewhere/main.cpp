// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include <rankview/rankview.hpp>

#include <cstdio>

double total(rankview::Client& rc);

int main(int argc, char** argv) {
  return rankview::run(argc, argv, [](rankview::Client& rc) {
    const auto ids = rc[rankview::all].apply_sync([] { return rankview::this_engine::id(); });
    try {
      rc[0].apply_sync([] { throw rankview::UsageError("an exception of the library's"); });
    } catch (const rankview::RemoteError& error) {
      if (error.type_name() != "rankview::UsageError") throw;
    }
    std::printf("%zu engines, total %g\n", ids.size(), total(rc));
  });
}
