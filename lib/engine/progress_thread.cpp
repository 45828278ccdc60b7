// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/progress_thread.hpp"

#include <chrono>
#include <utility>

namespace rankview::engine {

ProgressThread::ProgressThread(std::function<void()> beat) : beat_(std::move(beat)) {}

ProgressThread::~ProgressThread() {
  activity_ = quitting;
  activity_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ProgressThread::start(const transport::Clock& clock) {
  clock_ = clock;
  thread_ = transport::Thread(clock, [this] { run(); });
}

void ProgressThread::run() {
  constexpr auto period = std::chrono::milliseconds(1);
  std::uint64_t last = 0;
  for (;;) {
    clock_.wait(activity_, parked);
    if (activity_.load() == quitting) return;
    clock_.sleep(period);
    const std::uint64_t begun = items_begun_.load(std::memory_order_relaxed);
    if (begun == std::exchange(last, begun)) beat_();
  }
}

}  // namespace rankview::engine
