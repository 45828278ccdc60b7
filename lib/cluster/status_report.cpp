// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/status_report.hpp"

#include "capture/redirection.hpp"

#include <sys/eventfd.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

namespace rankview::inline abi_0_1 {
namespace {

// What is written to the descriptor.
constexpr std::uint64_t ask = 1;
constexpr std::uint64_t quit = std::uint64_t{1} << 32U;

std::atomic<int> to_ask{-1};

void on_ask(int) {
  const int before = errno;
  [[maybe_unused]] const auto written = ::write(to_ask, &ask, sizeof(ask));
  errno = before;
}

const sigset_t& only_this() {
  static const sigset_t signals = [] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return set;
  }();
  return signals;
}

}  // namespace

StatusReport::StatusReport(std::function<std::string()> describe) : describe_(std::move(describe)) {
  struct sigaction there = {};
  ::sigaction(SIGUSR2, nullptr, &there);
  if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) return;
  // Or somebody waits for it in another way.
  sigset_t blocked;
  if (::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) != 0 || sigismember(&blocked, SIGUSR2) != 0) return;
  asked_ = ::eventfd(0, EFD_CLOEXEC);
  if (asked_ < 0) return;
  to_ask = asked_;
  // Tasks should not notice: the thread of this takes the signal, and neither this one, nor those that begin later.
  thread_ = std::thread([this] { run(); });
  static_cast<void>(::pthread_sigmask(SIG_BLOCK, &only_this(), nullptr));
  struct sigaction action = {};
  action.sa_handler = &on_ask;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &action, nullptr);
}

StatusReport::~StatusReport() {
  if (asked_ < 0) return;
  // One that is on its way goes nowhere.
  std::signal(SIGUSR2, SIG_IGN);
  static_cast<void>(::pthread_sigmask(SIG_UNBLOCK, &only_this(), nullptr));
  std::signal(SIGUSR2, SIG_DFL);
  [[maybe_unused]] const auto written = ::write(asked_, &quit, sizeof(quit));
  thread_.join();
  to_ask = -1;
  ::close(asked_);
}

void StatusReport::run() const {
  static_cast<void>(::pthread_sigmask(SIG_UNBLOCK, &only_this(), nullptr));
  for (;;) {
    std::uint64_t wanted = 0;
    if (::read(asked_, &wanted, sizeof(wanted)) < 0 && errno != EINTR) return;
    if (wanted >= quit) return;
    if (wanted == 0) continue;
    capture::say(describe_());
  }
}

}  // namespace rankview
