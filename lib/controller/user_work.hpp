// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/continuation_queue.hpp"
#include "controller/lock.hpp"
#include "controller/uncommon.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rankview::controller {

// Code of the user's that has to be run for calls: it reads results, encodes arguments, folds, destroys. It may take its time and call the
// library, so it is put down here under the controller's lock, and run without.
//
// Pieces that belong to one call are run one after the other, in the order in which they came. What the client wants done when calls have
// ended waits here as well.
class UserWork {
 public:
  class Piece {
   public:
    explicit Piece(std::shared_ptr<detail::Call> call) : call_(std::move(call)) {}
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;
    virtual ~Piece() = default;

    // Without the lock.
    virtual void run() noexcept = 0;
    // Then, with the lock: what follows from it.
    virtual void finish() = 0;

    [[nodiscard]] detail::Call& call() const { return *call_; }

   private:
    friend UserWork;
    std::shared_ptr<detail::Call> call_;
  };

  void add(std::unique_ptr<Piece> piece);
  // Whether there is none that could be begun.
  [[nodiscard]] bool empty() const { return ready_.empty(); }
  // Whether any has not been finished, or any of the call.
  [[nodiscard]] bool busy() const { return !behind_.empty(); }
  [[nodiscard]] bool busy(const detail::Call& call) const { return behind_.contains(&call); }

  [[nodiscard]] ContinuationQueue& continuations() { return continuations_; }
  [[nodiscard]] const ContinuationQueue& continuations() const { return continuations_; }

  // What runs a destructor of the user's where this was the last to hold it: it goes when nobody holds the lock.
  void leave(std::shared_ptr<const void> thing) {
    if (thing.use_count() != 0) left_.things.push_back(std::move(thing));
  }
  void leave(std::vector<std::shared_ptr<const void>>&& things) {
    for (auto& thing : things) leave(std::move(thing));
    things.clear();
  }
  // Likewise the results that a call was made of.
  void leave(detail::Deferred&& deferred) { std::swap(left_.deferred.emplace_back(), deferred); }
  // So much that its memory is better used again.
  [[nodiscard]] bool much_left() const { return left_.things.size() + left_.deferred.size() >= 32; }

  [[nodiscard]] bool anything_left() const { return !left_.things.empty() || !left_.deferred.empty(); }
  // Gives back the lock, and then destroys what is left.
  void destroy_left_behind(std::unique_lock<SharedLock>& guard);

 private:
  friend class Visit;

  std::unique_ptr<Piece> begin_next();
  void end(std::unique_ptr<Piece> piece);

  struct Left {
    std::vector<std::shared_ptr<const void>> things;
    std::vector<detail::Deferred> deferred;
  };
  // Empty, with the memory of what this thread destroyed last: mostly that is a call or two, for which nothing has to be allocated so.
  static thread_local Left spare_;

  std::deque<std::unique_ptr<Piece>> ready_;
  // By call, those that wait until the one before them is finished; an entry, perhaps empty, for each call that has any.
  std::unordered_map<const detail::Call*, std::deque<std::unique_ptr<Piece>>> behind_;
  Left left_;
  ContinuationQueue continuations_;
};

// Drops what results the call has.
void discard_results(UserWork& work, detail::Call& call);

// A stay under the controller's lock. What is left behind under it is destroyed when the lock has been given back.
class Visit {
 public:
  Visit(SharedLock& lock, UserWork& work) : work_(work), guard_(lock) {}
  // Only if nobody else has it.
  Visit(SharedLock& lock, UserWork& work, std::try_to_lock_t only_if_free) : work_(work), guard_(lock, only_if_free) {}
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    if (guard_.owns_lock()) unlock();
  }

  explicit operator bool() const { return guard_.owns_lock(); }
  void lock() { guard_.lock(); }
  void unlock() {
    if (work_.anything_left()) {
      work_.destroy_left_behind(guard_);
    } else {
      guard_.unlock();
    }
  }
  // Destroys what is left by now, without the lock.
  void let_go() {
    unlock();
    lock();
  }
  // Runs the next piece of work, without the lock.
  void run_next_piece();

 private:
  UserWork& work_;
  std::unique_lock<SharedLock> guard_;
};

}  // namespace rankview::controller
