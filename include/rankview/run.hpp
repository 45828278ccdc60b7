// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/client.hpp>
#include <rankview/options.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

namespace detail {
int run(int argc, char** argv, const std::function<int(Client&)>& main, const Options& options);
}

/// A whole program: initialises MPI if nobody has, runs `main(Client&)` on rank 0 of `MPI_COMM_WORLD` while the other ranks serve as
/// engines, and finalises what it initialised. Collective. Throws UsageError within a run. Where MPI is over, perhaps with an earlier
/// run() that initialised it, it returns 1 with a message.
///
/// Returns on every rank what `main` returned, 0 if that is `void`. If `main` throws: the message goes to stderr, waiting tasks are given
/// up, and the result is 1 on every rank. `std::exit` inside `main` ends all ranks with that code.
///
/// Without mpirun there is one engine, a thread of the process; `RANKVIEW_ENGINES=4 ./app` starts itself again as `mpirun -np 5 ./app`.
///
/// `RANKVIEW_REPLAY=run.db:17.3 ./app` runs, instead of `main`, task 17.3 of the latest run in that database that has kept its arguments
/// (Options::keep), in this process and without isolation, prints what it gives or how it fails, and returns 0 or 1; `run.db:2:17.3` that
/// of run 2. A crash is a crash of the program.
template <class Main>
int run(int argc, char** argv, Main&& main, const Options& options = {}) {
  if constexpr (!std::is_invocable_v<Main&, Client&>) {
    static_assert(sizeof(Main) == 0, "rankview: the main function of run() takes an rv::Client&");
  } else if constexpr (!std::is_void_v<std::invoke_result_t<Main&, Client&>> &&
                       !std::is_convertible_v<std::invoke_result_t<Main&, Client&>, int>) {
    static_assert(sizeof(Main) == 0, "rankview: the main function of run() returns an int or nothing");
  } else {
    return detail::run(
        argc, argv,
        [&main](Client& client) -> int {
          if constexpr (std::is_void_v<std::invoke_result_t<Main&, Client&>>) {
            main(client);
            return 0;
          } else {
            return main(client);
          }
        },
        options);
  }
}

}  // namespace rankview
