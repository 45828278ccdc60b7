// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

// What the client asks of tasks that it names, by results or by ids.
namespace rankview::inline abi_0_1::detail {

std::shared_ptr<Call> Controller::named(const Prerequisite& tasks) const {
  // Whoever names a result keeps it.
  if (tasks.call) return {std::shared_ptr<Call>(), &*tasks.call};
  const std::lock_guard guard(lock_);
  const TaskId& task = tasks.task;
  if (task.item == Prerequisite::every) throw UsageError("an AsyncResult is empty: it was default-constructed or moved from");
  if (task.call == 0 || task.call >= next_call_) throw UsageError("task " + to_string(task) + " was never submitted in this run");
  Call* const call = calls_.find(task.call);
  if (call == nullptr) return nullptr;
  if (call->laid_out && task.item >= call->items.size())
    throw UsageError("there is no task " + to_string(task) + ": that call has " + std::to_string(call->items.size()));
  return call->self;
}

void Controller::abort(Call& call, std::uint64_t item) {
  std::unique_lock guard(lock_);
  if (item >= call.items.size() || has_ended(call.items[item].status)) return;
  if (call.items.size() == 1 || call.together || call.local) {
    guard.unlock();
    abort(call);
    return;
  }
  if (call.items[item].status == Status::waiting) {
    give_up_waiting(call, item);
  } else {
    call.more.edit().given_up.insert(item);
    stop(call, item, item + 1);
  }
  send_all();
}

// Ends an item that has not been handed out.
void Controller::give_up_waiting(Call& call, std::uint64_t item) {
  if (call.items[item].status != Status::waiting) return;
  const std::shared_ptr<Call> alive = call.self;
  unschedule(call, item);
  end_item(call, item, Status::aborted,
           std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) + ": aborted while it waited")));
  if (call.done()) end_call(call);
}

void Controller::unschedule(const Call& call, std::uint64_t item) {
  if (call.balanced) {
    scheduler_.withdraw(call.id, item, placement(call, item));
    return;
  }
  for (const int engine : call.engines) {
    if (scheduler_.withdraw(call.id, item, scheduler::Placement::bound(engine))) return;
  }
}

namespace {

// A call, and which of its tasks.
using Named = std::pair<std::shared_ptr<Call>, std::uint64_t>;

// Those that may not have ended.
std::vector<Named> named(const Controller& controller, const Dependency& tasks) {
  std::vector<Named> all;
  for (const Prerequisite& some : tasks.tasks()) {
    if (auto call = controller.named(some)) all.emplace_back(std::move(call), some.task.item);
  }
  return all;
}

}  // namespace

bool wait_for(Controller& controller, const Dependency& tasks, const Deadline& deadline) {
  for (const auto& [call, item] : named(controller, tasks)) {
    if (!(item == Prerequisite::every ? wait(*call, deadline) : wait(*call, item, deadline))) return false;
  }
  return true;
}

void abort(Controller& controller, const Dependency& tasks) {
  for (const auto& [call, item] : named(controller, tasks)) {
    call->error_seen = true;
    if (item == Prerequisite::every) {
      call->controller->abort(*call);
    } else {
      call->controller->abort(*call, item);
    }
  }
}

DoneAndPending done_and_pending(Call& call) {
  return call.controller->locked([&call] {
    DoneAndPending tasks;
    for (std::size_t item = 0; item < call.items.size(); ++item)
      (has_ended(call.items[item].status) ? tasks.done : tasks.pending).push_back(item);
    return tasks;
  });
}

std::size_t place_of(std::int64_t index, std::size_t count) {
  const std::int64_t place = index < 0 ? index + static_cast<std::int64_t>(count) : index;
  if (place < 0 || place >= static_cast<std::int64_t>(count))
    throw std::out_of_range("there is no element " + std::to_string(index) + " in a result of " + std::to_string(count));
  return static_cast<std::size_t>(place);
}

}  // namespace rankview::detail
