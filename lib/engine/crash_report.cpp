// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/crash_report.hpp"

#include "engine/current.hpp"
#include "engine/task_host.hpp"
#include "liveness/side_line.hpp"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rankview::engine {
namespace {

struct Crash {
  int signal;
  const char* name;
  bool reported = false;         // by this
  bool programs = false;         // the program has a handler
  struct sigaction before = {};  // who comes behind this
};

std::array<Crash, 5> crashes{{{SIGSEGV, "segmentation fault"},
                              {SIGBUS, "bus error"},
                              {SIGFPE, "arithmetic error"},
                              {SIGILL, "illegal instruction"},
                              {SIGABRT, "abort"}}};

// Text that is put together where nothing may be allocated.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const std::size_t count = std::min(text.size(), text_.size() - size_);
    std::copy_n(text.begin(), count, text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += count;
    return *this;
  }
  Line& number(std::uint64_t value, int base = 10) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  void write() const {
    // Nothing can be done about it if that fails.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text_.data(), size_);
  }

 private:
  std::array<char, 400> text_{};
  std::size_t size_ = 0;
};

void tell(const Crash& crash, const siginfo_t* info) {
  const TaskHost* const host = current();
  const TaskId task = host == nullptr ? TaskId{} : host->running();
  liveness::tell_crash(crash.signal, task);
  Line line;
  line << "rankview: process ";
  line.number(static_cast<std::uint64_t>(::getpid()));
  if (host != nullptr) {
    line << ", engine ";
    line.number(static_cast<std::uint64_t>(host->id()));
  }
  line << ", gets signal ";
  line.number(static_cast<std::uint64_t>(crash.signal));
  line << " (" << crash.name << ")";
  if (crash.signal != SIGABRT && info != nullptr) {
    line << " at address 0x";
    line.number(reinterpret_cast<std::uintptr_t>(info->si_addr), 16);
  }
  if (task.call != 0) {
    line << " in task ";
    line.number(task.call) << ".";
    line.number(task.item) << "; with isolation = rv::process that would have been the error of this task alone";
  }
  line << "\n";
  line.write();
}

void on_crash(int signal, siginfo_t* info, void* context) {
  auto* const crash = std::find_if(crashes.begin(), crashes.end(), [signal](const Crash& known) { return known.signal == signal; });
  const struct sigaction& before = crash->before;
  // A crash in here goes on.
  ::sigaction(signal, &before, nullptr);
  tell(*crash, info);
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    std::raise(signal);
  }
}

}  // namespace

void note_crash_handlers() {
  for (Crash& crash : crashes) {
    struct sigaction there = {};
    ::sigaction(crash.signal, nullptr, &there);
    crash.programs = !crash.reported && ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL);
  }
}

void report_crashes() {
  for (Crash& crash : crashes) {
    if (crash.programs || crash.reported) continue;
    struct sigaction action = {};
    action.sa_sigaction = &on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    crash.reported = ::sigaction(crash.signal, &action, &crash.before) == 0;
  }
}

void report_no_crashes() {
  for (const Crash& crash : crashes) {
    if (crash.reported) std::signal(crash.signal, SIG_DFL);
  }
}

struct HandlerStack::Memory {
  std::array<std::byte, std::size_t{64} * 1024> bytes;
};

HandlerStack::HandlerStack() {
  stack_t there{};
  ::sigaltstack(nullptr, &there);
  if ((there.ss_flags & SS_DISABLE) == 0) return;
  memory_ = std::make_unique<Memory>();
  stack_t stack{};
  stack.ss_sp = memory_->bytes.data();
  stack.ss_size = memory_->bytes.size();
  ::sigaltstack(&stack, nullptr);
}

HandlerStack::~HandlerStack() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

}  // namespace rankview::engine
