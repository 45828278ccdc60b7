// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/continuation_queue.hpp"

#include "controller/call_life.hpp"
#include "controller/uncommon.hpp"
#include "controller/user_work.hpp"

#include <utility>

namespace rankview::controller {
namespace {

thread_local int depth = 0;

}  // namespace

void ContinuationQueue::take(detail::Call& call) {
  if (call.life().more->continuations.empty()) return;
  for (auto& continuation : call.life().more.edit().continuations) due_.push_back(std::move(continuation));
  call.life().more.edit().continuations.clear();
}

int ContinuationQueue::running_here() { return depth; }

void ContinuationQueue::run_next(Visit& visit) {
  std::shared_ptr<detail::Continuation> next = std::move(due_.front());
  due_.pop_front();
  ++running_;
  const bool wanted = !stopped_;
  visit.unlock();
  ++depth;
  if (wanted) next->run();
  next.reset();
  --depth;
  visit.lock();
  --running_;
}

std::deque<std::shared_ptr<detail::Continuation>> ContinuationQueue::drop() { return std::exchange(due_, {}); }

}  // namespace rankview::controller
