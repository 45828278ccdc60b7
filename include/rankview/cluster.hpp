// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/client.hpp>
#include <rankview/options.hpp>
#include <rankview/run.hpp>

#include <mpi.h>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

/// For programs that initialise MPI themselves and have tasks with `isolation = rv::process`: makes the small process that these are
/// started from, which sees the program as it is now. To be called before MPI_Init, on every rank, by the main thread, while the program
/// has no other; further calls do nothing. Throws UsageError behind MPI_Init, Error if the system refuses. rv::run() does it by itself.
///
/// Cost: some tenths of a millisecond, and a process a rank that shares its memory with the rank for as long as neither changes it.
void prepare_isolation();

/// rankview inside a code that owns MPI: rank 0 of a communicator as controller and client, its other ranks as engines, for as long as
/// run() takes. Engine variables live as long as the Cluster.
///
/// With one rank, the engine is a thread of that rank.
class Cluster {
 public:
  /// Collective over `comm` (a `boost::mpi::communicator` converts to it), which is duplicated. MPI must be initialised, at any thread
  /// level; below `MPI_THREAD_MULTIPLE` rank 0 says on stderr what is lost. Throws MismatchedBuild on every rank if the ranks do not run
  /// the same executable, UsageError for an inter-communicator, a null one, or from a client or a task of a run of the same ranks.
  explicit Cluster(MPI_Comm comm, const Options& options = {});
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  /// Collective: frees the communicator. Behind `MPI_Finalize` it ends the process with an error. In a forked child it does nothing.
  ~Cluster();

  /// Collective. Runs `f(Client&)` on rank 0 while the other ranks serve; returns on all of them when `f` has returned and all tasks have
  /// ended. `f`'s result is returned on rank 0, a default-constructed one elsewhere. Between runs, every rank is free for MPI of its own.
  ///
  /// If `f` throws, waiting tasks are given up and the exception leaves run() on rank 0; on the other ranks it is an Error that tells of
  /// it. Throws UsageError behind `MPI_Finalize`, and within a run of this Cluster or of one of the same ranks.
  template <class F>
  auto run(F&& f) {
    if constexpr (!std::is_invocable_v<F&, Client&>) {
      static_assert(sizeof(F) == 0, "rankview: the function of Cluster::run() takes an rv::Client&");
    } else if constexpr (std::is_void_v<std::invoke_result_t<F&, Client&>>) {
      run_on_root([&f](Client& client) { f(client); });
    } else {
      std::invoke_result_t<F&, Client&> result{};
      run_on_root([&f, &result](Client& client) { result = f(client); });
      return result;
    }
  }

  [[nodiscard]] int rank() const noexcept;
  [[nodiscard]] int size() const noexcept;

 private:
  friend int detail::run(int argc, char** argv, const std::function<int(Client&)>& main, const Options& options);
  struct State;

  void run_on_root(const std::function<void(Client&)>& f);

  std::unique_ptr<State> state_;
};

}  // namespace rankview
