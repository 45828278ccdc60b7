// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"
#include "isolation/forker.hpp"
#include "isolation/later_modules.hpp"
#include "isolation/trace.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace rankview::isolation {

// A process beside this one that forks a child for each isolated task. It is made before MPI is initialised, so it has no MPI, one thread
// and little memory, and the code of this process at the same addresses: a fork of it is quick and safe. It ends with this process, and its
// children with it. And when this process crashes, it tells on stderr where that was.
class TaskServer {
 public:
  // Throws std::system_error.
  static std::unique_ptr<TaskServer> fork();
  TaskServer(const TaskServer&) = delete;
  TaskServer& operator=(const TaskServer&) = delete;
  // Waits for its end.
  ~TaskServer();

  // Has it make children for whoever has this; each is for one thread. Throws Error if the server has gone, std::system_error.
  std::unique_ptr<Forker> connect();

  // For tell_server().
  [[nodiscard]] int control() const { return control_.get(); }

 private:
  explicit TaskServer(Fd control) : control_(std::move(control)) {}

  Fd control_;
  LaterModules later_modules_;
};

// For a signal handler, in the process that the server is for: has it tell where that has crashed. Waits for so long until that is done.
// False if the server has not got it.
bool tell_server(int control, const Trace& trace, std::chrono::milliseconds wait) noexcept;

}  // namespace rankview::isolation
