// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>
#include <cstdint>

namespace rankview::controller {

// How far a run has come: open for calls, closing, when engines have been told that no more comes, and closed, when none of them is left.
//
// Changed under the controller's lock; may be asked without it.
class RunState {
 public:
  [[nodiscard]] bool open() const { return phase() == Phase::open; }
  // Whether engines may still say something.
  [[nodiscard]] bool connected() const { return phase() != Phase::closed; }

  void begin_closing() { phase_.store(Phase::closing, std::memory_order_release); }
  void close() { phase_.store(Phase::closed, std::memory_order_release); }

 private:
  enum class Phase : std::uint8_t { open, closing, closed };

  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }

  std::atomic<Phase> phase_{Phase::open};
};

}  // namespace rankview::controller
