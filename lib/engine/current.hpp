// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::engine {

class Engine;

// The engine that runs the calling thread's task, null if there is none.
Engine* current();
// The same, but not for threads that tasks have started.
Engine* running_here();

// While it lives, the calling thread is one of the engine's.
class RunningHere {
 public:
  explicit RunningHere(Engine* engine);
  RunningHere(const RunningHere&) = delete;
  RunningHere& operator=(const RunningHere&) = delete;
  ~RunningHere();

 private:
  Engine* before_;
};

// While it lives, the engine serves in the calling thread.
class ServingHere {
 public:
  // `own_process`: and so any thread of the process belongs to a task of its, unlike the client of a run of one rank.
  ServingHere(Engine& engine, bool own_process);
  ServingHere(const ServingHere&) = delete;
  ServingHere& operator=(const ServingHere&) = delete;
  ~ServingHere();

 private:
  RunningHere here_;
  bool own_process_;
};

}  // namespace rankview::engine
