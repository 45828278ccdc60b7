// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::engine {

class TaskHost;

// Where the calling thread's task runs, null if it has none.
TaskHost* current();
// The same, but not for threads that tasks have started.
TaskHost* running_here();

// While it lives, the calling thread is one of the host's.
class RunningHere {
 public:
  explicit RunningHere(TaskHost* host);
  RunningHere(const RunningHere&) = delete;
  RunningHere& operator=(const RunningHere&) = delete;
  ~RunningHere();

 private:
  TaskHost* before_;
};

// While it lives, the host runs tasks in the calling thread.
class ServingHere {
 public:
  // `own_process`: and so any thread of the process belongs to a task of its, unlike the client of a run of one rank.
  ServingHere(TaskHost& host, bool own_process);
  ServingHere(const ServingHere&) = delete;
  ServingHere& operator=(const ServingHere&) = delete;
  ~ServingHere();

 private:
  RunningHere here_;
  bool own_process_;
};

}  // namespace rankview::engine
