// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/crash_report.hpp"

#include "capture/redirection.hpp"
#include "engine/current.hpp"
#include "engine/task_host.hpp"
#include "isolation/task_server.hpp"
#include "isolation/trace.hpp"
#include "liveness/side_line.hpp"

#include <execinfo.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>
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

// Who tells where it was: the process that it is true of, and that one's server.
std::atomic<pid_t> told_process{0};
std::atomic<int> told_server{-1};
std::atomic<int> server_wait{0};  // milliseconds

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
  capture::give_back();
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

// By address alone, if need be: names take more than may be done here.
void tell_places(std::span<void* const> addresses) {
  isolation::Trace trace;
  isolation::locate(addresses, trace);
  if (told_process == ::getpid() && told_server >= 0 && isolation::tell_server(told_server, trace, std::chrono::milliseconds(server_wait)))
    return;
  for (std::size_t i = 0; i < trace.count; ++i) {
    const isolation::Trace::Call& call = trace.calls[i];
    Line line;
    line << "  at 0x";
    line.number(call.address, 16);
    if (const auto path = trace.path_of(call); !path.empty()) {
      line << " (" << path << "+0x";
      line.number(call.from_start, 16) << ")";
    }
    line << "\n";
    line.write();
  }
}

void on_crash(int signal, siginfo_t* info, void* context) {
  auto* const crash = std::find_if(crashes.begin(), crashes.end(), [signal](const Crash& known) { return known.signal == signal; });
  const struct sigaction& before = crash->before;
  // A crash in here goes on.
  ::sigaction(signal, &before, nullptr);
  tell(*crash, info);
  std::array<void*, isolation::Trace::most> addresses{};
  std::size_t count = 0;
  {
    const isolation::BacktraceLimit limit;
    count = static_cast<std::size_t>(backtrace(addresses.data(), static_cast<int>(addresses.size())));
  }
  constexpr std::size_t own = 2;  // this handler, and what the system has called it by
  if (count > own) tell_places(std::span(addresses).subspan(own, count - own));
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

void report_crashes(int server, std::chrono::milliseconds wait) {
  isolation::prime_traces();
  told_process = ::getpid();
  told_server = server;
  server_wait = static_cast<int>(wait.count());
  for (Crash& crash : crashes) {
    if (crash.programs || crash.reported) continue;
    struct sigaction action = {};
    action.sa_sigaction = &on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    crash.reported = ::sigaction(crash.signal, &action, &crash.before) == 0;
  }
}

void report_without_server() { told_server = -1; }

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
