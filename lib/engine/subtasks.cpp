// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <rankview/errors.hpp>
#include <rankview/subtask.hpp>

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

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
  if (has_room && suspended_.size() < most_suspended) return;
  const std::string waiting = "subtasks are nested too deep: " + std::to_string(suspended_.size()) + " tasks of engine " +
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
  const std::lock_guard held(baton_);
  record.parent_call = at_.call;
  record.parent_item = at_.item;
  record.ticket = next_ticket_++;
  subtasks_.emplace(record.ticket, std::nullopt);
  wire::write(outbox_, record);
  results_.close();
  flush();
  return record.ticket;
}

bool Engine::answered(std::uint64_t ticket) {
  const std::lock_guard held(baton_);
  endpoint_->poll(*this);
  return subtasks_.at(ticket).has_value();
}

void Engine::forget(std::uint64_t ticket) {
  const std::lock_guard held(baton_);
  const auto forgotten = subtasks_.extract(ticket);
  if (!forgotten.empty() && forgotten.mapped() && forgotten.mapped()->failed) report_unseen(forgotten.mapped()->value);
}

// Says on stderr that a task failed of which nobody here asks any more how it ended, unless it was given up.
void Engine::report_unseen(std::span<const std::byte> value) const {
  if (end_ && end_->ending == wire::Ending::failed) return;
  detail::Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (failure.type_name == "rankview::TaskAborted") return;
  std::fprintf(stderr, "rankview: a task that a task on engine %d submitted failed, and nobody asked for its result: %s%s%s\n",
               settings_.id, failure.type_name.c_str(), failure.type_name.empty() ? "" : ": ", failure.message.c_str());
}

std::vector<std::byte> Engine::await(std::uint64_t ticket) {
  const auto take_answer = [&] {
    const std::lock_guard held(baton_);
    if (!subtasks_.at(ticket)) run_others_until_answered(ticket);
    return *std::exchange(subtasks_.at(ticket), std::nullopt);
  };
  Answered answer = take_answer();
  if (!answer.failed) return std::move(answer.value);
  detail::Reader in(answer.value);
  wire::Failure failure = wire::read_failure(in);
  throw RemoteError(TaskPlace{}, std::move(failure.type_name), std::move(failure.message));
}

// What others may run, so that this engine, which now has time, gets what is most urgent rather than what came first.
void Engine::give_back_all() {
  wire::Recall everything;
  everything.items.push_back({at_.call, at_.item + 1, at_.end - at_.item - 1, 0});
  for (const Queued& queued : queue_) {
    if (const auto* const batch = std::get_if<wire::Batch>(&queued.command))
      everything.items.push_back({batch->call, batch->first, batch->count, 0});
  }
  give_back(everything);
}

// With the baton.
void Engine::run_others_until_answered(std::uint64_t ticket) {
  check_depth(0);
  // What stands behind a suspended item in its batch cannot begin before that goes on.
  const auto tell = [this] {
    std::uint64_t items = 0;
    for (const Position* const suspended : suspended_) items += suspended->end - suspended->item;
    wire::write(outbox_, wire::Suspended{items});
    results_.close();
    flush();
  };
  give_back_all();
  // What belongs to the item that waits.
  Position position = at_;
  const std::int64_t deadline = deadline_.exchange(0);
  const bool told_overdue = told_overdue_;
  detail::Writer scratch = std::exchange(scratch_, {});
  std::shared_ptr<void> folded = std::move(folded_);
  std::vector<FoldedItem> folded_items = std::exchange(folded_items_, {});
  std::optional<std::stop_source> stop_source = std::exchange(stop_source_, std::nullopt);
  suspended_.push_back(&position);
  at_ = {};
  tell();

  transport::Idle idle(spin_);
  const auto given_up = [this] { return end_ && end_->ending == wire::Ending::failed; };
  while (!subtasks_.at(ticket) && !given_up()) {
    if (carry_out_next()) {
      idle.reset();
      continue;
    }
    flush();
    poll_or_nap(idle);
  }

  suspended_.pop_back();
  at_ = position;
  told_overdue_ = told_overdue;
  deadline_.store(deadline, std::memory_order_relaxed);
  scratch_ = std::move(scratch);
  folded_ = std::move(folded);
  folded_items_ = std::move(folded_items);
  stop_source_ = std::move(stop_source);
  stop_requested_.store(stopped(at_.call, at_.item), std::memory_order_release);
  tell();
  if (!subtasks_.at(ticket)) throw TaskAborted("the client has failed (" + end_->reason + "), and what this task waits for will not come");
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {
namespace {

engine::Engine& own() {
  engine::Engine* const here = engine::current();
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
  if (engine::Engine* const here = engine::current(); here != nullptr && here->on_own_thread()) here->forget(ticket);
}

}  // namespace rankview::detail
