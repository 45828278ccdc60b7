// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/local_calls.hpp"

#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <rankview/errors.hpp>

#include <mutex>
#include <utility>
#include <vector>

// Calls that rank 0 runs itself, continuations and coroutines, and what continues calls.
namespace rankview::inline abi_0_1::detail {
namespace {

// Calls that rank 0 runs itself that this thread is in: as continuations, or where they were made.
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

void Controller::begin_local(const std::shared_ptr<Call>& call) {
  call->life().submitted = now();
  call->spread = Spread::rank_0;
  call->same_arguments = true;  // it has none
  call->life().items.resize(1);
  call->grow(1, 1);
  call->life().laid_out = true;
  call->life().sealed.store(true, std::memory_order_release);
  {
    const auto visit = driver_.visit();
    call->life().has_handles = true;
    calls_.enlist(call);
    if (settings_.recorder != nullptr) settings_.recorder->submitted(*call);
    // What it continues is done, and so will it be.
    if (!run_.connected()) calls_.end(*call);
  }
  driver_.wake_progress_thread();
}

bool Controller::enter_local(Call& call) {
  const auto visit = driver_.visit();
  if (call.life().items[0].status != Status::waiting) return false;
  ledger_.granted(call, 0, 1, -1);
  call.life().items[0].started = now();
  return true;
}

void Controller::end_local(Call& call, std::exception_ptr error) {
  ToldError told = with_text(std::move(error));
  const auto visit = driver_.visit();
  ItemRecord& item = call.life().items[0];
  if (has_ended(item.status)) return;  // with the run
  item.completed = now();
  item.received = item.completed;
  call.life().last_received = item.completed;
  const Status status = told.error ? Status::failed : Status::completed;
  ledger_.ended(call, 0, status, keep(call, std::move(told)));
  advance();
}

bool Controller::add(Call& call, const std::shared_ptr<Continuation>& continuation) {
  const auto visit = driver_.visit();
  if (call.life().done()) return false;
  call.life().more.edit().continuations.push_back(continuation);
  return true;
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

bool add_continuation(Call& call, const std::shared_ptr<Continuation>& continuation) {
  // The continuation may run, and the call go, before this returns.
  const std::shared_ptr<Controller> controller = call.controller;
  return controller->add(call, continuation);
}

void continue_with(Call& call, const std::shared_ptr<Continuation>& continuation) {
  if (!add_continuation(call, continuation)) continuation->run();
}

}  // namespace rankview::detail
