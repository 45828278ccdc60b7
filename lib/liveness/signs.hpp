// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace rankview::liveness {

// What has been noticed of a peer's life.
struct Sign {
  enum class Kind : std::uint8_t {
    died,     // it has ended, and nothing more will come of it
    silent,   // it has said nothing for too long: it is stopped, or cannot be reached
    answers,  // it was silent, and says something again
  };
  Kind kind = Kind::died;
  int peer = -1;
  std::string seen;  // in words
  int signal = 0;    // that has ended it, as far as it could tell
  TaskId task{};     // that it ran then, likewise
};

// Signs on their way from who notices them to who drives. Thread-safe.
class Signs {
 public:
  Signs() = default;
  Signs(const Signs&) = delete;
  Signs& operator=(const Signs&) = delete;

  // Whether there are any; asked in every round.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  // Those since the last time, in order.
  std::vector<Sign> take() {
    const std::lock_guard guard(mutex_);
    any_.store(false, std::memory_order_relaxed);
    return std::exchange(signs_, {});
  }

  void add(Sign sign) {
    const std::lock_guard guard(mutex_);
    if (sign.kind == Sign::Kind::died) deaths_.push_back(sign);
    signs_.push_back(std::move(sign));
    any_.store(true, std::memory_order_relaxed);
    if (wake_) wake_();
  }
  // Somebody else listens from here on, who hears of those that have died before, too. `wake` is called behind each sign, in whatever
  // thread has noticed it.
  void listen(std::function<void()> wake) {
    const std::lock_guard guard(mutex_);
    wake_ = std::move(wake);
    signs_ = deaths_;
    any_.store(!signs_.empty(), std::memory_order_relaxed);
  }
  // Nobody does.
  void listen_no_more() {
    const std::lock_guard guard(mutex_);
    wake_ = nullptr;
  }

 private:
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::vector<Sign> signs_;
  std::vector<Sign> deaths_;  // all that there were
  std::function<void()> wake_;
};

}  // namespace rankview::liveness
