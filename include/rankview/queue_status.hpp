// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rankview::inline abi_0_1 {

/// What one engine has to do, has done, and holds.
struct EngineStatus {
  int engine = -1;
  std::uint64_t waiting = 0;     ///< tasks on rank 0 that only this engine may run
  std::uint64_t handed_out = 0;  ///< tasks on their way to it, in its queue, or running
  std::uint64_t running = 0;     ///< of those, what it is at, as far as rank 0 can tell: 1 if it has anything
  std::uint64_t completed = 0;   ///< in this run of the client: tasks that it ran, each once, however often they were tried
  std::uint64_t failed = 0;  ///< likewise those that failed, or ran out of time, for good, and those of collectives that did not come about
  std::size_t variables = 0;  ///< as the engine told last: some milliseconds after its last task
  std::size_t bytes = 0;      ///< what its variables take, likewise
};

/// A snapshot of the queues.
struct QueueStatus {
  std::vector<EngineStatus> engines;  ///< in the order of the view's targets
  std::uint64_t unassigned = 0;       ///< load-balanced tasks of all views that wait on rank 0 for any engine to be free
  std::uint64_t dependent = 0;        ///< tasks of all views that wait for other tasks
};

}  // namespace rankview
