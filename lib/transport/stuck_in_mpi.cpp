// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/stuck_in_mpi.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <mutex>
#include <string_view>
#include <thread>

namespace rankview::transport {
namespace {

std::mutex asking;
// What the thread that is asked tells.
std::array<void*, 128> frames;
std::atomic<int> frame_count{0};

void tell_frames(int) {
  const int kept = errno;
  frame_count.store(backtrace(frames.data(), static_cast<int>(frames.size())), std::memory_order_release);
  errno = kept;
}

// MPI polls; what is in a system call sleeps.
bool on_processor(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.substr(name_end, 3) == ") R";
}

// How many frames it has told of.
int ask(pid_t thread) {
  struct sigaction before {};
  if (sigaction(SIGURG, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return 0;
  struct sigaction asked {};
  asked.sa_handler = tell_frames;
  asked.sa_flags = SA_RESTART;
  frame_count.store(0, std::memory_order_relaxed);
  if (sigaction(SIGURG, &asked, nullptr) != 0) return 0;
  int count = 0;
  if (tgkill(getpid(), thread, SIGURG) == 0) {
    for (int i = 0; i < 1000 && count == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      count = frame_count.load(std::memory_order_acquire);
    }
  }
  // A signal that comes later is ignored.
  sigaction(SIGURG, &before, nullptr);
  return count;
}

bool looks_only(std::string_view function) {
  return function.starts_with("MPI_Test") || function.starts_with("MPI_Start") || function.starts_with("MPI_Iprobe");
}

}  // namespace

std::string mpi_call_of(pid_t thread) {
  const std::lock_guard guard(asking);
  // The first time it loads what it needs, which a signal handler may not.
  backtrace(frames.data(), 1);
  if (!on_processor(thread)) return "";
  for (int i = ask(thread) - 1; i >= 0; --i) {
    Dl_info info{};
    if (dladdr(frames[static_cast<std::size_t>(i)], &info) == 0 || info.dli_sname == nullptr) continue;
    std::string_view function = info.dli_sname;
    if (function.starts_with("PMPI_")) function.remove_prefix(1);
    if (function.starts_with("MPI_")) return looks_only(function) ? "" : std::string(function);
  }
  return "";
}

}  // namespace rankview::transport
