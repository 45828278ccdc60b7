// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

/// What a task can ask about itself. Each of these throws UsageError outside of a task. Threads that a task starts on an engine of its own
/// process may ask too.
namespace rankview::this_task {

/// Whether the client has given this task up, by AsyncResult::abort() or Client::abort(): what it computes is not wanted any more, and the
/// sooner it returns or throws, the better. Known some milliseconds after the request under `MPI_THREAD_MULTIPLE`; below that, asking is
/// what finds out.
///
/// Cost: an atomic read, below `MPI_THREAD_MULTIPLE` a look for messages. Thread-safe under `MPI_THREAD_MULTIPLE`; below that, for the
/// task's own thread only.
[[nodiscard]] bool stop_requested();

}  // namespace rankview::this_task
