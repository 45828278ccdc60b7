// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/drain_signals.hpp"

#include <unistd.h>
#include <atomic>
#include <cerrno>

namespace rankview::inline abi_0_1 {
namespace {

// Whose signals are taken, 0 for nobody's; a child that was forked has another number.
std::atomic<pid_t> taker{0};
std::atomic<int> to_tell{-1};

void on_drain_signal(int signal) {
  const int before = errno;
  if (::getpid() != taker) {
    std::signal(signal, SIG_DFL);
    ::raise(signal);
  } else if (to_tell >= 0) {
    const unsigned long what = signal == SIGTERM ? DrainSignals::terminate : DrainSignals::user;
    [[maybe_unused]] const auto written = ::write(to_tell, &what, sizeof(what));
  }
  errno = before;
}

}  // namespace

DrainSignals::DrainSignals(int told) {
  pid_t nobody = 0;
  if (!taker.compare_exchange_strong(nobody, ::getpid())) return;
  to_tell = told;
  for (const int signal : {SIGTERM, SIGUSR1}) {
    struct sigaction there = {};
    ::sigaction(signal, nullptr, &there);
    if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) continue;
    struct sigaction action = {};
    action.sa_handler = &on_drain_signal;
    action.sa_flags = SA_RESTART;
    if (::sigaction(signal, &action, nullptr) == 0) taken_.push_back(signal);
  }
  if (taken_.empty()) taker = 0;
}

DrainSignals::~DrainSignals() {
  if (taken_.empty()) return;
  for (const int signal : taken_) std::signal(signal, SIG_DFL);
  to_tell = -1;
  taker = 0;
}

}  // namespace rankview
