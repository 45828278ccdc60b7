// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/minder.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

namespace rankview::farm {
namespace {

// What was killed has gone by then, or cannot go.
constexpr std::chrono::seconds gone_limit{10};
constexpr timespec look_again{0, 2'000'000};

sigset_t minded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

std::vector<pid_t> children_of_this() {
  std::vector<pid_t> children;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

// Those whose parent has died are children of this process then, as are theirs when they have.
void kill_all_left() {
  const auto limit = std::chrono::steady_clock::now() + gone_limit;
  while (std::chrono::steady_clock::now() < limit) {
    for (const pid_t child : children_of_this()) {
      const pid_t group = ::getpgid(child);
      if (group > 0 && group != ::getpgrp()) ::kill(-group, SIGKILL);
      ::kill(child, SIGKILL);
    }
    pid_t ended = 0;
    while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) continue;
    if (ended < 0 && errno == ECHILD) return;
    ::nanosleep(&look_again, nullptr);
  }
}

// Until that child has ended; its status.
int wait_for_child(pid_t child, const sigset_t& signals) {
  for (;;) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&signals, &info);
    // What a terminal sends it sends to the child as well.
    if (signal > 0 && signal != SIGCHLD && info.si_code <= 0) ::kill(child, signal);
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == child) return status;
    }
  }
}

}  // namespace

void go_on_minded() {
  const sigset_t signals = minded_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (::getppid() != parent) std::_Exit(1);
    return;
  }
  const int status = wait_for_child(child, signals);
  if (WIFEXITED(status)) std::_Exit(WEXITSTATUS(status));
  kill_all_left();
  std::_Exit(128 + WTERMSIG(status));
}

}  // namespace rankview::farm
