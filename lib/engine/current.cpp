// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/current.hpp"

#include <atomic>
#include <utility>

namespace rankview::engine {
namespace {

thread_local Engine* of_this_thread = nullptr;
std::atomic<Engine*> of_this_process{nullptr};

}  // namespace

Engine* current() { return of_this_thread != nullptr ? of_this_thread : of_this_process.load(std::memory_order_acquire); }

Engine* running_here() { return of_this_thread; }

RunningHere::RunningHere(Engine* engine) : before_(std::exchange(of_this_thread, engine)) {}

RunningHere::~RunningHere() { of_this_thread = before_; }

ServingHere::ServingHere(Engine& engine, bool own_process) : here_(&engine), own_process_(own_process) {
  if (own_process_) of_this_process.store(&engine, std::memory_order_release);
}

ServingHere::~ServingHere() {
  if (own_process_) of_this_process.store(nullptr, std::memory_order_release);
}

}  // namespace rankview::engine
