// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/continuation_queue.hpp"
#include "controller/lock.hpp"
#include "controller/user_work.hpp"
#include "transport/clock.hpp"
#include "transport/idle.hpp"

#include <rankview/detail/call.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace rankview::controller {

// What whoever drives does again and again, under the lock.
class Round {
 public:
  // Whether anything happened.
  virtual bool round() = 0;
  // Goes on with what has become possible.
  virtual void advance() = 0;
  // Whether there is nothing to wait for.
  [[nodiscard]] virtual bool idle() const = 0;

 protected:
  ~Round() = default;
};

// Who drives: MPI makes progress only when somebody calls it, so whoever waits holds the controller's lock and runs rounds until what it
// waits for is there. When nobody waits, a thread of its own, the progress thread, does so now and then.
//
// All that the controller has is guarded by the one lock here. Code of the user's is run without it.
class Driver {
 public:
  struct Settings {
    transport::IdleLimits idle;
    transport::Clock clock;
    bool progress_thread = false;
    bool any_thread_drives = true;  // else only the one that initialised MPI
  };

  Driver(Round& round, UserWork& work, const Settings& settings);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver();

  // Drives until `ready()`, which is called under the lock, or the deadline. Whether it became ready. A continuation that waits runs others
  // meanwhile only if it may wait for them, or they would pile up.
  template <class Ready>
  bool drive(const detail::Deadline& deadline, Ready ready, bool for_continuations);
  // Some rounds, if nobody else is at it.
  void try_progress();
  // Under the lock: takes what has arrived, but for a flood. Whether anything had.
  bool catch_up(int most_rounds);

  // Takes the lock for as long as what it gives lives.
  [[nodiscard]] Visit visit() const { return {lock_, work_}; }
  // Whether the lock can be had within that time; for who may be called in the middle of anything.
  [[nodiscard]] bool reachable(std::chrono::milliseconds time);
  // Runs `action` under the lock if it can be had within that time. Whether it could.
  template <class Action>
  bool try_locked(std::chrono::milliseconds time, Action action) {
    if (!lock_.try_lock_for(time)) return false;
    const std::lock_guard guard(lock_, std::adopt_lock);
    action();
    return true;
  }
  [[nodiscard]] bool may_drive() const;

  // The run is over. Behind this the thread holds nothing any more, such as the last handle of a call, and with it of the run.
  void stop_progress_thread();
  // Something has been begun that nobody is about to wait for.
  void wake_progress_thread();
  // Under the lock, such a call has been submitted at that time. Whether to leave it, with others that come in a burst, to be handed out
  // together a little later; the progress thread sees to the last of them. Not so if somebody could begin with one.
  [[nodiscard]] bool holds_back(std::int64_t submitted, bool somebody_could_begin);
  // Under the lock: whoever makes call after call keeps things going, so that the progress thread need not.
  void note_attended() { attended_.store(true, std::memory_order_relaxed); }

 private:
  // Counts a driver while it drives.
  class Driving {
   public:
    explicit Driving(std::atomic<int>* drivers) : drivers_(drivers) {
      if (drivers_ != nullptr) drivers_->fetch_add(1, std::memory_order_relaxed);
    }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;
    ~Driving() {
      if (drivers_ != nullptr) drivers_->fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    std::atomic<int>* drivers_;
  };

  void run_progress_thread();

  bool run_user_code(Visit& visit, bool continues);

  Round& round_;
  UserWork& work_;
  const Settings settings_;
  mutable SharedLock lock_;
  transport::SpinTime spin_;
  std::int64_t last_submission_ = 0;   // of a call that nobody was about to wait for
  unsigned held_back_ = 0;             // such calls that were not handed out at once
  std::atomic<bool> attended_{false};  // see note_attended()
  std::atomic<int> drivers_{0};        // threads that wait and drive; the progress thread leaves the work to them
  std::atomic<int> state_{0};          // of the progress thread
  transport::Thread thread_;
};

template <class Ready>
bool Driver::drive(const detail::Deadline& deadline, Ready ready, bool for_continuations) {
  const bool drives = may_drive();
  const bool continues = drives && (for_continuations || ContinuationQueue::running_here() == 0);
  const Driving driving(drives ? &drivers_ : nullptr);
  Visit visit(lock_, work_);
  transport::Idle idle(spin_);
  while (!ready()) {
    if (drives && (!work_.empty() || (continues && !work_.continuations().empty()))) {
      // It may take its time, in which others drive.
      drivers_.fetch_sub(1, std::memory_order_relaxed);
      run_user_code(visit, continues);
      drivers_.fetch_add(1, std::memory_order_relaxed);
      idle.reset();
      continue;
    }
    if (drives && round_.round()) {
      idle.reset();
      if (lock_.wanted()) lock_.let_others_in();
      if (work_.much_left()) visit.let_go();
      // Where data is on the move, round follows round.
      if (settings_.clock.simulated()) {
        visit.unlock();
        settings_.clock.spin();
        visit.lock();
      }
      continue;
    }
    if (deadline && settings_.clock.steady_now() >= *deadline) return false;
    auto pause = idle.pause();
    if (pause.count() == 0) {
      if (!drives || lock_.wanted()) lock_.let_others_in();
      continue;
    }
    if (deadline) pause = std::min<std::chrono::nanoseconds>(pause, *deadline - settings_.clock.steady_now());
    visit.unlock();
    settings_.clock.nap(pause);
    visit.lock();
  }
  idle.reset();
  return true;
}

}  // namespace rankview::controller
