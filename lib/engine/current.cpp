// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/current.hpp"

#include <atomic>
#include <utility>

namespace rankview::engine {
namespace {

thread_local TaskHost* of_this_thread = nullptr;
std::atomic<TaskHost*> of_this_process{nullptr};

}  // namespace

TaskHost* current() { return of_this_thread != nullptr ? of_this_thread : of_this_process.load(std::memory_order_acquire); }

TaskHost* running_here() { return of_this_thread; }

RunningHere::RunningHere(TaskHost* host) : before_(std::exchange(of_this_thread, host)) {}

RunningHere::~RunningHere() { of_this_thread = before_; }

ServingHere::ServingHere(TaskHost& host, bool own_process) : here_(&host), own_process_(own_process) {
  if (own_process_) of_this_process.store(&host, std::memory_order_release);
}

ServingHere::~ServingHere() {
  if (own_process_) of_this_process.store(nullptr, std::memory_order_release);
}

}  // namespace rankview::engine
