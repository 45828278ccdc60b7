// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/call.hpp>

#include <deque>
#include <memory>
#include <utility>

namespace rankview::controller {

class Visit;

// What is to be run because calls have ended. It is the client's code, so whoever drives takes it out under the controller's lock and runs
// it without.
class ContinuationQueue {
 public:
  // The call has ended: what continues it is due.
  void take(detail::Call& call);
  // Something else has happened that it is due for.
  void add(std::shared_ptr<detail::Continuation> continuation) { due_.push_back(std::move(continuation)); }

  [[nodiscard]] bool empty() const { return due_.empty(); }
  // Whether any is due, or is being run by somebody else than the calling thread.
  [[nodiscard]] bool busy() const { return !due_.empty() || running_ > running_here(); }
  // How many the calling thread is in: one may wait, and run others meanwhile.
  [[nodiscard]] static int running_here();

  // Runs the first, and lets go of the lock meanwhile.
  void run_next(Visit& visit);
  // The client has failed: what is due from here on is dropped when its turn comes.
  void stop() { stopped_ = true; }
  // Gives what nobody will run.
  std::deque<std::shared_ptr<detail::Continuation>> drop();

 private:
  std::deque<std::shared_ptr<detail::Continuation>> due_;
  int running_ = 0;
  bool stopped_ = false;
};

}  // namespace rankview::controller
