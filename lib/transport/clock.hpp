// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/idle.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace rankview::transport {

// Where a clock of a simulated run gets its time from; such a run has threads of its own, too.
class TimeSource {
 public:
  [[nodiscard]] virtual std::int64_t now() const = 0;
  // Passes time until a message arrives, or so much of it.
  virtual void nap(std::chrono::nanoseconds pause) = 0;
  // Passes time, whatever arrives.
  virtual void sleep(std::chrono::nanoseconds time) = 0;
  // Has `body` go on by itself; gives its number.
  virtual std::size_t start(std::function<void()> body) = 0;
  // Passes time until that has ended.
  virtual void join(std::size_t thread) = 0;

 protected:
  ~TimeSource() = default;
};

// Nanoseconds since the epoch by a clock that runs evenly: the wall clock at one moment, and the steady clock since. Processes of one host
// that share an anchor agree to the nanosecond; hosts agree as well as their wall clocks did at the start.
//
// What waits, waits by its clock, so that a simulated run decides what comes of it. There a wait for others is a look now and then.
class Clock {
 public:
  Clock() : anchor_(wall() - steady()) {}
  explicit Clock(std::int64_t anchor) : anchor_(anchor) {}
  // A simulated one.
  explicit Clock(TimeSource& source) : anchor_(0), source_(&source) {}

  [[nodiscard]] std::int64_t now() const { return source_ == nullptr ? anchor_ + steady() : source_->now(); }
  // What a deadline is compared with.
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const {
    return source_ == nullptr ? std::chrono::steady_clock::now()
                              : std::chrono::steady_clock::time_point(std::chrono::nanoseconds(source_->now()));
  }
  [[nodiscard]] std::int64_t anchor() const { return anchor_; }
  [[nodiscard]] TimeSource* source() const { return source_; }
  [[nodiscard]] bool simulated() const { return source_ != nullptr; }

  // Sleeps for so long, to the microsecond.
  void nap(std::chrono::nanoseconds pause) const { source_ == nullptr ? transport::nap(pause) : source_->nap(pause); }
  // Sleeps for so long, and what the system adds to that.
  void sleep(std::chrono::nanoseconds time) const { source_ == nullptr ? std::this_thread::sleep_for(time) : source_->sleep(time); }
  // Between two looks of who waits and does not sleep: nothing, but in a simulated run others go on.
  void spin() const {
    if (source_ != nullptr) source_->nap({});
  }
  // Waits for as long as the value is `old`.
  template <class T>
  void wait(const std::atomic<T>& value, T old) const {
    if (source_ == nullptr) {
      value.wait(old);
      return;
    }
    while (value.load() == old) source_->sleep(look_after);
  }
  // Waits for `ready`, which is asked under the lock, and at most for so long. Whether it is.
  template <class Ready>
  bool wait_for(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, std::chrono::nanoseconds time, Ready ready) const {
    if (source_ == nullptr) return changed.wait_for(lock, time, ready);
    const std::int64_t end = source_->now() + time.count();
    while (!ready()) {
      const std::chrono::nanoseconds left(end - source_->now());
      if (left.count() <= 0) return false;
      lock.unlock();
      source_->sleep(std::min<std::chrono::nanoseconds>(left, look_after));
      lock.lock();
    }
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds look_after{1};

  static std::int64_t steady() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  static std::int64_t wall() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  std::int64_t anchor_;
  TimeSource* source_ = nullptr;
};

// The clock of deadlines that are made where nobody has one: the system's, or that of the simulated run.
std::chrono::steady_clock::time_point steady_now();
// From here on there is a simulated run, or, where null, none any more.
void set_time_source(TimeSource* source);

// A thread of the library's: one of the system's, or of a simulated run.
class Thread {
 public:
  Thread() = default;
  Thread(const Clock& clock, std::function<void()> body) : source_(clock.source()) {
    if (source_ == nullptr) {
      thread_ = std::thread(std::move(body));
    } else {
      number_ = source_->start(std::move(body));
    }
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  Thread(Thread&& other) noexcept
      : thread_(std::move(other.thread_)), source_(std::exchange(other.source_, nullptr)), number_(other.number_) {}
  Thread& operator=(Thread&& other) noexcept {
    thread_ = std::move(other.thread_);
    source_ = std::exchange(other.source_, nullptr);
    number_ = other.number_;
    return *this;
  }
  ~Thread() = default;

  [[nodiscard]] bool joinable() const { return thread_.joinable() || source_ != nullptr; }
  // Whether the caller is this one.
  [[nodiscard]] bool is_this() const { return thread_.get_id() == std::this_thread::get_id(); }
  void join() {
    if (source_ == nullptr) {
      thread_.join();
    } else {
      std::exchange(source_, nullptr)->join(number_);
    }
  }

 private:
  std::thread thread_;
  TimeSource* source_ = nullptr;
  std::size_t number_ = 0;
};

}  // namespace rankview::transport
