// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace rankview::controller {

// A mutex whose holder can see that others want it. Whoever drives the progress loop holds the lock most of the time, and lets others in
// between two rounds; a plain mutex would mostly be won by the driver again.
//
// Each call takes it twice, mostly when it is free. That is one atomic instruction here, where a std::mutex is a function call as well. It
// is the second mutex of Drepper, Futexes are tricky (2011).
class SharedLock {
 public:
  void lock() {
    if (!try_lock()) wait_and_lock();
  }
  bool try_lock() {
    State expected = State::free;
    return state_.compare_exchange_strong(expected, State::held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // Whether it could be had within that time.
  bool try_lock_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    bool had = try_lock();
    for (; !had && std::chrono::steady_clock::now() < end; had = try_lock()) std::this_thread::sleep_for(std::chrono::microseconds(100));
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return had;
  }
  void unlock() {
    if (state_.exchange(State::free, std::memory_order_release) == State::held_and_slept_for) state_.notify_one();
  }
  [[nodiscard]] bool wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Not held: leaves it to those that wait, for a moment.
  void give_way() const {
    for (int i = 0; i < 100 && wanted(); ++i) std::this_thread::yield();
  }
  // Held: lets whoever waits have it, then takes it again.
  void let_others_in() {
    unlock();
    give_way();
    // Those whom it has let in need not hurry for its sake.
    if (!try_lock()) sleep_and_lock();
  }

 private:
  enum class State : int { free, held, held_and_slept_for };

  // Whoever has slept cannot know whether others still do.
  void sleep_and_lock() {
    while (state_.exchange(State::held_and_slept_for, std::memory_order_acquire) != State::free)
      state_.wait(State::held_and_slept_for, std::memory_order_relaxed);
  }
  void wait_and_lock() {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    sleep_and_lock();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::atomic<State> state_{State::free};
  std::atomic<int> waiting_{0};
};

}  // namespace rankview::controller
