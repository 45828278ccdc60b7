// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

#include <cstdint>
#include <utility>

namespace rankview::engine {

// When to tell rank 0 how much memory the variables take: when nothing has come for a while after tasks, and for a twentieth of the time
// at most, since counting may take long.
class MemoryReport {
 public:
  // A run begins: nothing has been told.
  void reset() { *this = {}; }
  // Tasks have run, which may have changed it.
  void note_tasks() { due_ = true; }
  // Nobody has sent anything, once more. Whether to count now.
  [[nodiscard]] bool due_after_look() { return due_ && ++idle_looks_ > looks_before; }
  // Something was sent.
  void note_message() { idle_looks_ = 0; }
  [[nodiscard]] bool too_early(std::int64_t now) const { return now < not_before_; }
  // It was counted, from `begin` to `end`. Whether it is something else than was last told.
  [[nodiscard]] bool counted(const wire::Memory& memory, std::int64_t begin, std::int64_t end) {
    not_before_ = end + share * (end - begin);
    due_ = false;
    const wire::Memory last = std::exchange(told_, memory);
    return memory.variables != last.variables || memory.bytes != last.bytes;
  }

 private:
  static constexpr unsigned looks_before = 16;
  static constexpr std::int64_t share = 20;

  wire::Memory told_;
  bool due_ = true;
  unsigned idle_looks_ = 0;
  std::int64_t not_before_ = 0;
};

}  // namespace rankview::engine
