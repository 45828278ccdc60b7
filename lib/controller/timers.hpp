// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace rankview::controller {

// When calls have waited for too long. A timer whose call has ended stays for a while: there are at most twice as many as calls that have
// one and have not ended, and a few.
//
// Cost: amortised constant but for the one that is due next, which takes a logarithm.
class Timers {
 public:
  [[nodiscard]] bool empty() const { return timers_.empty(); }
  [[nodiscard]] std::size_t size() const { return timers_.size(); }

  void add(std::int64_t when, std::uint64_t call) {
    ++calls_;
    timers_.emplace_back(when, call);
    std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
  }

  // A call that has a timer, or had one that went off, has ended. `ended(call)` says of which others that is so.
  template <class Ended>
  void note_end(Ended ended) {
    --calls_;
    if (timers_.size() > 2 * calls_ + few) drop(ended);
  }

  // Takes out the earliest, if its time has come: the call, which may have ended.
  std::optional<std::uint64_t> next(std::int64_t now) {
    if (timers_.empty() || timers_.front().first > now) return std::nullopt;
    std::pop_heap(timers_.begin(), timers_.end(), std::greater<>());
    const std::uint64_t call = timers_.back().second;
    timers_.pop_back();
    return call;
  }

 private:
  using Timer = std::pair<std::int64_t, std::uint64_t>;
  static constexpr std::size_t few = 64;

  template <class Ended>
  void drop(Ended ended) {
    std::erase_if(timers_, [&ended](const Timer& timer) { return ended(timer.second); });
    if (timers_.capacity() > 4 * timers_.size() + few) timers_.shrink_to_fit();
    std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
  }

  std::vector<Timer> timers_;  // a heap, the earliest on top
  std::size_t calls_ = 0;
};

}  // namespace rankview::controller
