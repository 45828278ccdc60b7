// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

namespace rankview::scheduler {

// How far the turns of each priority have come: what a queue that gets work is to begin with, so that it has not saved up what it did not
// use before. Once many priorities are known, those without work are forgotten now and then, since a program may use a new one for each
// task.
//
// Cost: logarithmic in the number of priorities; crowded() and forget() amortised constant for each that comes.
class Turns {
 public:
  [[nodiscard]] double of(std::int32_t priority) const {
    const auto known = turns_.find(priority);
    return known == turns_.end() ? 0 : known->second;
  }
  void set(std::int32_t priority, double turn) { turns_[priority] = turn; }

  [[nodiscard]] std::size_t size() const { return turns_.size(); }
  // Whether there are so many that it is time to forget some.
  [[nodiscard]] bool crowded() const { return turns_.size() > most_; }
  // Forgets those for which `unused(priority)` holds. What still knows a turn of these must begin anew.
  template <class Unused>
  void forget(Unused unused) {
    std::erase_if(turns_, [&unused](const auto& turn) { return unused(turn.first); });
    most_ = std::max(few, 2 * turns_.size());
  }

 private:
  static constexpr std::size_t few = 64;

  std::map<std::int32_t, double> turns_;
  std::size_t most_ = few;
};

}  // namespace rankview::scheduler
