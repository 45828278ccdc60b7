// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "capture/redirection.hpp"
#include "engine/engine.hpp"

#include <rankview/errors.hpp>
#include <rankview/subtask.hpp>

#include <mutex>
#include <string>
#include <utility>

// Tasks that submit tasks. Who waits for one runs others meanwhile, on the same stack.
namespace rankview::engine {
namespace {

// Who would have no room to wait for a subtask should not submit it either.
constexpr std::size_t submit_reserve = 64 * 1024;

}  // namespace

std::uint64_t Engine::submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) {
  runs_.check_depth(settings_.id, submit_reserve);
  wire::Subtask record;
  record.thunk = detail::code_address(function.thunk);
  if (function.code != nullptr) record.function = detail::code_address(function.code);
  record.stride = stride;
  record.object = function.object->bytes.bytes();
  record.item = arguments;
  const std::lock_guard held(lock_);
  record.parent_call = runs_->call;
  record.parent_item = runs_->item;
  record.ticket = subtasks_.add();
  outbox_.write(record);
  outbox_.flush();
  return record.ticket;
}

bool Engine::answered(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  outbox_.endpoint().poll(*this);
  return subtasks_.answered(ticket);
}

void Engine::forget(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  const auto forgotten = subtasks_.forget(ticket);
  if (forgotten && forgotten->failed) report_unseen(forgotten->value);
}

// Says on stderr that a task failed of which nobody here asks any more how it ended, unless it was given up.
void Engine::report_unseen(std::span<const std::byte> value) const {
  if (end_.client_failed()) return;
  detail::Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (failure.type_name == "rankview::TaskAborted") return;
  capture::say("rankview: a task that a task on engine " + std::to_string(settings_.id) +
               " submitted failed, and nobody asked for its result: " + failure.type_name + (failure.type_name.empty() ? "" : ": ") +
               failure.message + "\n");
}

std::vector<std::byte> Engine::await(std::uint64_t ticket) {
  const auto take_answer = [&] {
    const std::lock_guard held(lock_);
    if (!subtasks_.answered(ticket)) run_others_until_answered(ticket);
    return subtasks_.take(ticket);
  };
  SubtaskResults::Answer answer = take_answer();
  if (!answer.failed) return std::move(answer.value);
  detail::Reader in(answer.value);
  wire::Failure failure = wire::read_failure(in);
  throw RemoteError(TaskPlace{}, std::move(failure.type_name), std::move(failure.message));
}

// Rank 0 counts items that wait as what the engine has in hand, but not as what keeps it from others.
void Engine::tell_suspended() {
  outbox_.write(wire::Suspended{runs_.suspended_items()});
  outbox_.flush();
}

// While it lives, the item that runs waits, and others run with an ItemRun of their own.
class Engine::Nested {
 public:
  explicit Nested(Engine& engine) : engine_(engine) {
    engine_.runs_.begin_nested(run_);
    engine_.show();
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() {
    // What was folded with an item that ran out of time is the user's.
    if (run_.folded != nullptr) engine_.left_.push_back(std::move(run_.folded));
    engine_.runs_.end_nested();
    engine_.show();
  }

 private:
  Engine& engine_;
  ItemRun run_;
};

// With the lock.
void Engine::run_others_until_answered(std::uint64_t ticket) {
  runs_.check_depth(settings_.id, 0);
  // What others may run goes back, so that this engine, which now has time, gets what is most urgent rather than what came first.
  outbox_.write(inbox_.give_back_all(*runs_));
  outbox_.flush();

  {
    const Nested nested(*this);
    tell_suspended();
    transport::Idle idle(loop_.spin());
    // The task that waits has its engine for itself when it goes on.
    while ((!subtasks_.answered(ticket) || slot_runs_.size() != 0) && !end_.client_failed()) {
      let_go();
      if (subtasks_.answered(ticket) ? collect() : carry_out_next()) {
        idle.reset();
        continue;
      }
      outbox_.flush();
      poll_or_nap(idle);
    }
  }
  tell_suspended();
  if (!subtasks_.answered(ticket))
    throw TaskAborted("the client has failed (" + end_->reason + "), and what this task waits for will not come");
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {
namespace {

engine::TaskHost& own() {
  engine::TaskHost* const here = engine::current();
  if (here == nullptr) throw UsageError("rv::this_task::submit() is for tasks; a client submits with a view");
  if (!here->on_own_thread()) throw UsageError("rv::this_task::submit() and rv::Subtask are for the task's own thread");
  return *here;
}

}  // namespace

std::uint64_t submit_subtask(const Function& function, const Writer& arguments, std::size_t stride) {
  return own().submit(function, arguments.bytes.bytes(), stride);
}

bool subtask_ready(std::uint64_t ticket) { return own().answered(ticket); }

std::vector<std::byte> await_subtask(std::uint64_t ticket) { return own().await(ticket); }

void forget_subtask(std::uint64_t ticket) noexcept {
  if (engine::TaskHost* const here = engine::current(); here != nullptr && here->on_own_thread()) here->forget(ticket);
}

}  // namespace rankview::detail
