// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/continuations.hpp"

#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

// What rank 0 does when calls have ended: whoever drives takes continuations out under the lock and runs them outside of it.
namespace rankview::inline abi_0_1::detail {
namespace {

// Continuations that this thread is in.
thread_local int depth = 0;
// Calls that rank 0 runs itself that it is in: as continuations, or where they were made.
thread_local int local_calls = 0;

std::mutex runs_mutex;
std::vector<std::weak_ptr<Controller>> runs;

}  // namespace

Continuation::~Continuation() = default;

void note_run(const std::shared_ptr<Controller>& controller) {
  const std::lock_guard guard(runs_mutex);
  std::erase_if(runs, [](const auto& run) { return run.expired(); });
  runs.push_back(controller);
}

std::shared_ptr<Controller> running_controller() {
  const std::lock_guard guard(runs_mutex);
  // NOLINTNEXTLINE(modernize-loop-convert): what it asks for, clang 14 cannot compile
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    if (auto controller = run->lock(); controller != nullptr && controller->open()) return controller;
  }
  throw UsageError("there is no run under way in this process: rv::Task and rv::when_all belong to the client's side of one");
}

// ---- calls that rank 0 runs itself -------------------------------------------------------------------------------------------

void Controller::begin_local(const std::shared_ptr<Call>& call) {
  call->submitted = now();
  call->local = true;
  call->same_arguments = true;  // it has none
  call->items.resize(1);
  call->grow(1);
  call->laid_out = true;
  call->sealed.store(true, std::memory_order_release);
  {
    const std::lock_guard guard(lock_);
    call->id = next_call_++;
    call->kept = true;
    enlist(call);
    if (!open()) {
      // What it continues is done, and so will it be.
      end_flight(*call);
    }
  }
  wake_pulse();
}

bool Controller::enter_local(Call& call) {
  const std::lock_guard guard(lock_);
  ItemRecord& item = call.items[0];
  if (item.status != Status::waiting) return false;
  item.status = Status::handed_out;
  item.attempts = 1;
  item.started = now();
  return true;
}

void Controller::end_local(Call& call, std::exception_ptr error) {
  const std::lock_guard guard(lock_);
  ItemRecord& item = call.items[0];
  if (has_ended(item.status)) return;  // with the run
  item.completed = now();
  item.received = item.completed;
  call.last_received = item.completed;
  const Status status = error ? Status::failed : Status::completed;
  end_item(call, 0, status, std::move(error));
  end_call(call);
}

void begin_local(const std::shared_ptr<Call>& call, const std::shared_ptr<Controller>& controller) {
  call->controller = controller;
  controller->begin_local(call);
}

bool enter_local(Call& call) { return call.controller->enter_local(call); }

void end_local(Call& call, std::exception_ptr error) { call.controller->end_local(call, std::move(error)); }

InLocal::InLocal() noexcept { ++local_calls; }

InLocal::~InLocal() { --local_calls; }

bool wait_all(Controller& controller, const Deadline& deadline) {
  if (local_calls != 0)
    throw UsageError(
        "Client::wait() in a continuation or a coroutine would wait for that itself; wait for the results that it needs: "
        "wait(results...)");
  return controller.drive(
      deadline, [&controller] { return controller.idle(); }, true);
}

// ---- continuations -----------------------------------------------------------------------------------------------------------

bool Controller::add(Call& call, const std::shared_ptr<Continuation>& continuation) {
  const std::lock_guard guard(lock_);
  if (call.done()) return false;
  call.more.edit().continuations.push_back(continuation);
  return true;
}

void Controller::continue_after(Call& call) {
  for (auto& continuation : call.more.edit().continuations) due_.push_back(std::move(continuation));
  call.more.edit().continuations.clear();
}

// Lets go of the lock meanwhile.
void Controller::run_next(std::unique_lock<controller::SharedLock>& guard) {
  std::shared_ptr<Continuation> next = std::move(due_.front());
  due_.pop_front();
  ++running_;
  const bool wanted = !giving_up_;
  guard.unlock();
  ++depth;
  if (wanted) next->run();
  next.reset();
  --depth;
  guard.lock();
  --running_;
}

int Controller::running_here() { return depth; }

bool add_continuation(Call& call, const std::shared_ptr<Continuation>& continuation) {
  // The continuation may run, and the call go, before this returns.
  const std::shared_ptr<Controller> controller = call.controller;
  return controller->add(call, continuation);
}

void continue_with(Call& call, const std::shared_ptr<Continuation>& continuation) {
  if (!add_continuation(call, continuation)) continuation->run();
}

}  // namespace rankview::detail
