// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"
#include "liveness/invitation.hpp"

#include <rankview/task_id.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace rankview::liveness {

// An engine's connection to rank 0 beside MPI: says now and then that the process lives, and notices when rank 0's has ended. A thread of
// its own does so, whatever the task does.
class SideLine {
 public:
  // `rank0_gone` is called in that thread, with what was seen. `rank0`: its process, if that is on this machine, or 0.
  SideLine(const Invitation& invitation, int rank, long rank0, std::function<void(const std::string&)> rank0_gone);
  SideLine(const SideLine&) = delete;
  SideLine& operator=(const SideLine&) = delete;
  // Says good-bye.
  ~SideLine();

 private:
  void run();
  bool connect();
  bool listen_to_rank0();

  const Invitation invitation_;
  const int rank_;
  std::function<void(const std::string&)> rank0_gone_;
  isolation::Fd rank0_;    // its process
  const bool rank0_over_;  // which had ended before this came to look
  isolation::Fd socket_;
  bool welcome_ = false;  // rank 0 knows of the connection
  isolation::Fd quit_;
  std::thread thread_;
};

// For who is about to crash, or to leave by exit(): tells rank 0 over the line of this process, if there is one. May be called in a signal
// handler.
void tell_crash(int signal, const TaskId& task);
void tell_exit(int status);

}  // namespace rankview::liveness
