// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/process_end.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace rankview::isolation {

void become_child(int errors, int output) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const int nothing = ::open("/dev/null", O_RDONLY); nothing >= 0) {
    ::dup2(nothing, STDIN_FILENO);
    ::close(nothing);
  }
  ::dup2(errors, STDERR_FILENO);
  if (output < 0) return;
  ::dup2(output, STDOUT_FILENO);
  // What is in a buffer when it crashes is lost.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
}

bool is_child(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

std::optional<ChildEnd> end_of(pid_t child) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return ChildEnd{0, false, 0};
  if (info.si_pid == 0) return std::nullopt;
  ::kill(-child, SIGKILL);
  ChildEnd end;
  rusage usage{};
  ::wait4(child, &end.status, 0, &usage);
  end.peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return end;
}

std::uint64_t memory_of(pid_t process) {
  const std::filesystem::path proc = "/proc/" + std::to_string(process);
  std::uint64_t bytes = 0;
  if (std::ifstream in(proc / "statm"); in) {
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    std::uint64_t shared = 0;
    in >> size >> resident >> shared;
    bytes = (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  // It may go at any time.
  std::error_code gone;
  for (std::filesystem::directory_iterator thread(proc / "task", gone), end; !gone && thread != end; thread.increment(gone)) {
    std::ifstream in(thread->path() / "children");
    for (pid_t child = 0; in >> child;) bytes += memory_of(child);
  }
  return bytes;
}

}  // namespace rankview::isolation
