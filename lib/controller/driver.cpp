// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/driver.hpp"

#include "transport/mpi.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <exception>
#include <string>
#include <utility>

namespace rankview::controller {
namespace {

// What state_ says.
constexpr int parked = 0;
constexpr int awake = 1;
constexpr int quitting = 2;

// So many rounds are made of a flood before others get the lock.
constexpr int flood = 1000;

}  // namespace

Driver::Driver(Round& round, UserWork& work, const Settings& settings)
    : round_(round), work_(work), settings_(settings), spin_(settings.idle) {
  if (settings_.progress_thread) thread_ = transport::Thread(settings_.clock, [this] { run_progress_thread(); });
}

Driver::~Driver() { stop_progress_thread(); }

void Driver::stop_progress_thread() {
  state_ = quitting;
  state_.notify_all();
  // A continuation that it runs may leave the program.
  if (thread_.joinable() && !thread_.is_this()) thread_.join();
}

bool Driver::may_drive() const { return settings_.any_thread_drives || transport::is_main_thread(); }

void Driver::try_progress() {
  if (!may_drive()) return;
  // Whoever calls this again and again would nearly always have the lock.
  lock_.give_way();
  Visit visit(lock_, work_, std::try_to_lock);
  if (!visit) return;
  catch_up(flood);
  while (run_user_code(visit, ContinuationQueue::running_here() == 0)) continue;
}

// Runs a piece of work, or a continuation. Whether there was any.
bool Driver::run_user_code(Visit& visit, bool continues) {
  if (!work_.empty()) {
    visit.run_next_piece();
    round_.advance();
  } else if (continues && !work_.continuations().empty()) {
    work_.continuations().run_next(visit);
  } else {
    return false;
  }
  return true;
}

bool Driver::catch_up(int most_rounds) {
  int rounds = 0;
  while (rounds < most_rounds && round_.round()) ++rounds;
  return rounds > 0;
}

bool Driver::reachable(std::chrono::milliseconds time) {
  return try_locked(time, [] {});
}

bool Driver::holds_back(std::int64_t submitted, bool somebody_could_begin) {
  constexpr std::int64_t burst = 10'000;  // nanoseconds between two calls
  constexpr unsigned together = 8;
  const bool in_burst = submitted - std::exchange(last_submission_, submitted) < burst;
  if (settings_.progress_thread && in_burst && !somebody_could_begin && ++held_back_ < together) return true;
  held_back_ = 0;
  return false;
}

// ---- the progress thread -----------------------------------------------------------------------------------------------------

void Driver::wake_progress_thread() {
  if (!settings_.progress_thread) return;
  int expected = parked;
  if (state_.compare_exchange_strong(expected, awake)) state_.notify_one();
}

// Drives when nobody else does. Sleeps first, so that a client that waits for its result has the machine to itself; parks when there is
// nothing to wait for.
void Driver::run_progress_thread() {
  constexpr auto shortest = std::chrono::microseconds(50);
  constexpr auto attended = std::chrono::microseconds(200);
  constexpr auto longest = std::chrono::microseconds(1000);
  auto pause = shortest;
  int idle_rounds = 0;
  for (;;) {
    settings_.clock.wait(state_, parked);
    if (state_.load() == quitting) return;
    settings_.clock.sleep(pause);
    if (drivers_.load(std::memory_order_relaxed) > 0) {
      pause = longest;
      continue;
    }
    if (attended_.exchange(false, std::memory_order_relaxed)) {
      pause = attended;
      continue;
    }
    Visit visit(lock_, work_, std::try_to_lock);
    if (!visit) continue;
    bool any = false;
    try {
      any = catch_up(flood);
    } catch (const std::exception& error) {
      transport::end_process(1, std::string("the controller cannot go on: ") + wire::error_text(error));
    }
    while (run_user_code(visit, true)) any = true;
    const bool nothing = round_.idle();
    visit.unlock();
    pause = any ? shortest : std::min(longest, pause * 2);
    idle_rounds = nothing ? idle_rounds + 1 : 0;
    if (idle_rounds < 20) continue;
    idle_rounds = 0;
    int expected = awake;
    state_.compare_exchange_strong(expected, parked);
    // Something may have been submitted in between, when there was no need to wake.
    visit.lock();
    if (!round_.idle()) wake_progress_thread();
  }
}

}  // namespace rankview::controller
