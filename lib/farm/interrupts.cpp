// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/interrupts.hpp"

#include <sys/signalfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <system_error>

namespace rankview::farm {
namespace {

Interrupts::Wish meaning_of(unsigned signal) {
  switch (signal) {
    case SIGHUP:
      return Interrupts::Wish::finish;
    case SIGUSR1:
      return Interrupts::Wish::drain;
    case SIGALRM:
      return Interrupts::Wish::stop;
    default:
      return Interrupts::Wish::kill;
  }
}

}  // namespace

SignalInterrupts::SignalInterrupts() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM}) {
    // Whoever has this process ignore a signal, as nohup(1) does, means that.
    struct sigaction there = {};
    ::sigaction(signal, nullptr, &there);
    if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_IGN) sigaddset(&taken, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &taken, &before_);
  signals_ = isolation::Fd(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) throw std::system_error(errno, std::generic_category(), "signalfd");
}

SignalInterrupts::~SignalInterrupts() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

Interrupts::Wish SignalInterrupts::wish() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) wish_ = std::max(wish_, meaning_of(signal.ssi_signo));
  return wish_;
}

}  // namespace rankview::farm
