// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <rankview/errors.hpp>
#include <rankview/subtask.hpp>

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

// Tasks that submit tasks. Who waits for one runs others meanwhile, on the same stack.
namespace rankview::engine {
namespace {

// Who would have no room to wait for a subtask should not submit it either.
constexpr std::size_t submit_reserve = 64 * 1024;
// What a wait costs grows with how many others wait, so there is a limit also where the stack has none.
constexpr std::size_t most_suspended = 1'000;

}  // namespace

// A task must find some stack when it runs while others wait for theirs; this one may need `more`.
void Engine::check_depth(std::size_t more) {
  if (!stack_) stack_.emplace();
  const std::size_t left = stack_->left();
  const bool has_room = left >= stack_->reserve() + more;
  if (has_room && suspended_ < most_suspended) return;
  const std::string waiting = "subtasks are nested too deep: " + std::to_string(suspended_) + " tasks of engine " +
                              std::to_string(settings_.id) + " wait for each other, which ";
  if (has_room) throw UsageError(waiting + "is as many as may; nest them less, for instance by halves");
  throw UsageError(waiting + "leaves " + std::to_string(left / 1024) +
                   " KiB of stack to the next; nest them less, for instance by halves, or give the program more stack (ulimit -s)");
}

std::uint64_t Engine::submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) {
  check_depth(submit_reserve);
  wire::Subtask record;
  record.thunk = detail::code_address(function.thunk);
  if (function.code != nullptr) record.function = detail::code_address(function.code);
  record.stride = stride;
  record.object = function.object->bytes.bytes();
  record.item = arguments;
  const std::lock_guard held(lock_);
  record.parent_call = run_->call;
  record.parent_item = run_->item;
  record.ticket = subtasks_.add();
  outbox_.write(record);
  outbox_.flush();
  return record.ticket;
}

bool Engine::answered(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  endpoint_->poll(*this);
  return subtasks_.answered(ticket);
}

void Engine::forget(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  const auto forgotten = subtasks_.forget(ticket);
  if (forgotten && forgotten->failed) report_unseen(forgotten->value);
}

// Says on stderr that a task failed of which nobody here asks any more how it ended, unless it was given up.
void Engine::report_unseen(std::span<const std::byte> value) const {
  if (client_failed()) return;
  detail::Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (failure.type_name == "rankview::TaskAborted") return;
  std::fprintf(stderr, "rankview: a task that a task on engine %d submitted failed, and nobody asked for its result: %s%s%s\n",
               settings_.id, failure.type_name.c_str(), failure.type_name.empty() ? "" : ": ", failure.message.c_str());
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

// How many items have been begun here that wait. What stands behind one in its batch cannot begin before that goes on, and what was folded
// with those before it cannot end.
void Engine::tell_suspended() {
  std::uint64_t items = 0;
  for (const ItemRun* run = run_->waiting; run != nullptr; run = run->waiting) items += run->folded_items.size() + run->end - run->item;
  outbox_.write(wire::Suspended{items});
  outbox_.flush();
}

// While it lives, the item that runs waits, and others run with an ItemRun of their own.
class Engine::Nested {
 public:
  explicit Nested(Engine& engine) : engine_(engine) {
    run_.waiting = engine_.run_;
    engine_.run_ = &run_;
    ++engine_.suspended_;
    engine_.show(0);
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() {
    // What was folded with an item that ran out of time is the user's.
    if (run_.folded != nullptr) engine_.left_.push_back(std::move(run_.folded));
    engine_.run_ = run_.waiting;
    --engine_.suspended_;
    engine_.show(engine_.run_->deadline);
  }

 private:
  Engine& engine_;
  ItemRun run_;
};

// With the lock.
void Engine::run_others_until_answered(std::uint64_t ticket) {
  check_depth(0);
  // What others may run goes back, so that this engine, which now has time, gets what is most urgent rather than what came first.
  outbox_.write(inbox_.give_back_all(*run_));
  outbox_.flush();

  {
    const Nested nested(*this);
    tell_suspended();
    transport::Idle idle(spin_);
    // The task that waits has its engine for itself when it goes on.
    while ((!subtasks_.answered(ticket) || slot_runs_.size() != 0) && !client_failed()) {
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
