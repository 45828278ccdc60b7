// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/direct_forker.hpp"

#include "isolation/child.hpp"
#include "isolation/process_end.hpp"
#include "isolation/trace.hpp"

#include <rankview/errors.hpp>

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

namespace rankview::isolation {

DirectForker::~DirectForker() { forget(); }

pid_t DirectForker::start(int socket, int errors, int output) {
  forget();
  prime_traces();
  // What is in buffers would be printed by both.
  std::cout.flush();
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    become_child(errors, output);
    run_child(socket, &variables_);
  }
  if (pid < 0) throw Error(std::string("an isolated task cannot be started: ") + std::strerror(errno));
  ::setpgid(pid, pid);
  child_ = pid;
  process_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return pid;
}

void DirectForker::kill() {
  if (child_ != 0 && is_child(child_)) ::kill(-child_, SIGKILL);
}

std::optional<ChildEnd> DirectForker::end() {
  if (child_ == 0) return std::nullopt;
  const auto end = end_of(child_);
  if (end) {
    child_ = 0;
    process_.reset();
  }
  return end;
}

// Its child is on its way out, or nobody waits for it.
void DirectForker::forget() {
  if (child_ == 0) return;
  kill();
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) continue;
  child_ = 0;
  process_.reset();
}

}  // namespace rankview::isolation
