// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <mpi.h>
#include <thread>

namespace rankview::inline abi_0_1 {

// A run that this process takes part in, for as long as it does. Runs of the same ranks cannot be within each other: the inner one would
// wait for ranks that serve the outer one.
class UnderWay {
 public:
  // Throws UsageError if `comm` is in a run already, or if this thread is in one of the same ranks.
  UnderWay(MPI_Comm comm, int size);
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  ~UnderWay();

  // Throws UsageError if this thread is in a run of the ranks of `comm`.
  static void check_outside(MPI_Comm comm);
  // Whether any thread of this process is in a run.
  static bool any();

 private:
  [[nodiscard]] bool holds_up(MPI_Comm comm) const;

  MPI_Comm comm_;
  int size_;
  std::thread::id thread_;
};

}  // namespace rankview
