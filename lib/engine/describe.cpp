// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <thread>

// What an engine says when somebody wants to know what it does.
namespace rankview::engine {

std::string Engine::describe() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  // While a task runs the lock can be had.
  for (; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(std::chrono::microseconds(100))) {
    if (!lock_.try_lock()) continue;
    const std::lock_guard guard(lock_, std::adopt_lock);
    if (std::string text = describe_runs(); !text.empty()) return text;
  }
  return std::string("runs no task, and waits for ") + loop_.waits_for() + "\n";
}

std::string Engine::describe_runs() const {
  const std::int64_t now = settings_.clock.now();
  std::string text;
  for (const ItemRun* run = runs_.running(); run != nullptr; run = run->waiting) {
    if (run->end == 0) continue;
    const double seconds = static_cast<double>(now - run->began) * 1e-9;
    text += std::string(text.empty() ? "runs task " : ", above task ") + std::to_string(run->call) + "." + std::to_string(run->item) +
            (run == runs_.running() ? " since " : ", which waits for a subtask, begun ") + std::to_string(seconds) +
            (run == runs_.running() ? " s" : " s ago");
  }
  for (const auto& run : slot_runs_.all()) {
    const double seconds = static_cast<double>(now - run->began) * 1e-9;
    text += std::string(text.empty() ? "runs task " : ", beside task ") + std::to_string(run->batch.call) + "." +
            std::to_string(run->item) + " in a process, since " + std::to_string(seconds) + " s";
  }
  if (text.empty()) return text;
  const std::size_t behind = inbox_.size();
  if (behind != 0) text += "; " + std::to_string(behind) + (behind == 1 ? " batch waits" : " batches wait") + " behind it";
  return text + "\n";
}

}  // namespace rankview::engine
