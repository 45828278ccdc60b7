// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace rankview::controller {

// How far a run has come: open for calls, perhaps draining, closing, when engines have been told that no more comes, and closed, when none
// of them is left.
//
// Changed under the controller's lock; may be asked without it.
class RunState {
 public:
  [[nodiscard]] bool open() const { return phase() == Phase::open; }
  // Whether engines may still say something.
  [[nodiscard]] bool connected() const { return phase() != Phase::closed; }
  // Whether tasks of pools are not handed out any more.
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_acquire); }
  // Why, under the lock.
  [[nodiscard]] const std::string& why_draining() const { return why_draining_; }

  // False if it does so already, or closes.
  bool begin_draining(std::string why) {
    if (draining() || !open()) return false;
    why_draining_ = std::move(why);
    draining_.store(true, std::memory_order_release);
    return true;
  }
  // So many tasks have ended so. Under the lock.
  void note_given_back() { ++given_back_; }
  [[nodiscard]] std::uint64_t given_back() const { return given_back_; }

  void begin_closing() { phase_.store(Phase::closing, std::memory_order_release); }
  void close() { phase_.store(Phase::closed, std::memory_order_release); }

 private:
  enum class Phase : std::uint8_t { open, closing, closed };

  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }

  std::atomic<Phase> phase_{Phase::open};
  std::atomic<bool> draining_{false};
  std::string why_draining_;
  std::uint64_t given_back_ = 0;
};

}  // namespace rankview::controller
