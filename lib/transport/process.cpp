// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/process.hpp"

#include "transport/exit_file.hpp"

#include <unistd.h>
#include <atomic>
#include <cstdio>

namespace rankview::transport {
namespace {

WayOut simulated = nullptr;
std::atomic<void (*)()> before_end{nullptr};

}  // namespace

void end_process(int code, const std::string& why) {
  if (simulated != nullptr) simulated(code, why);
  if (void (*const last_act)() = before_end) last_act();
  std::fprintf(stderr, "rankview: %s\n", why.c_str());
  std::fflush(nullptr);
  tell_exit_code(code == 0 ? 1 : code);
  _exit(code == 0 ? 1 : code);
}

void set_way_out(WayOut way_out) { simulated = way_out; }

void set_before_end(void (*act)()) { before_end = act; }

}  // namespace rankview::transport
