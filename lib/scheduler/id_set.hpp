// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rankview::scheduler {

// Some of the numbers below a bound, a bit each.
//
// Cost: constant; next(): a step for every 64 numbers that it passes.
class IdSet {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool contains(int id) const { return (words_[word(id)] & bit(id)) != 0; }

  // Room for numbers below `bound`.
  void reserve(std::size_t bound) { words_.resize((bound + 63) / 64); }
  void set(int id, bool member) {
    if (contains(id) == member) return;
    words_[word(id)] ^= bit(id);
    member ? ++size_ : --size_;
  }

  // The first member from `id` on, or, behind the last one, the first of all. There must be one.
  [[nodiscard]] int next(int id) const {
    std::size_t at = word(id);
    if (at >= words_.size()) return next(0);
    std::uint64_t rest = words_[at] & ~(bit(id) - 1);
    while (rest == 0) {
      at = at + 1 == words_.size() ? 0 : at + 1;
      rest = words_[at];
    }
    return static_cast<int>(at * 64) + std::countr_zero(rest);
  }

 private:
  static std::size_t word(int id) { return static_cast<std::size_t>(id) / 64; }
  static std::uint64_t bit(int id) { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); }

  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

}  // namespace rankview::scheduler
