// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <memory>

namespace rankview::engine {

// Before MPI is initialised: notes for which signals of crashes the program has handlers of its own.
void note_crash_handlers();

// Behind that: from here on a crash of this process is told on stderr, with the task that ran, before whoever else has a handler, such as
// MPI, gets it. Not for signals for which the program had one. `server`: of isolation::TaskServer::control(), -1 for none; it tells where
// the process was, and is waited for so long, in case everything ends with this process.
void report_crashes(int server, std::chrono::milliseconds wait);
// The server is there no more.
void report_without_server();
// In a child that was forked: its crashes are told by whoever waits for it.
void report_no_crashes();

// The stack that the calling thread's signal handlers run on, so that they can tell of a stack that was too short.
class HandlerStack {
 public:
  HandlerStack();
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;
  ~HandlerStack();

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;  // none where the thread had one
};

}  // namespace rankview::engine
