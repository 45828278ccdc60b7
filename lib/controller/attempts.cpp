// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

// Items that do not simply run once: they fail and are tried again, are refused, run for too long, come back unstarted, or wait too long.
namespace rankview::inline abi_0_1::detail {
namespace {

// Between two questions whether something is to be recalled, in nanoseconds.
constexpr std::int64_t recall_period = 100'000;

std::string in_seconds(std::int64_t nanoseconds) {
  return std::to_string(std::chrono::duration<double>(std::chrono::nanoseconds(nanoseconds)).count()) + " s";
}

}  // namespace

// An attempt at an item has failed. Whether there is to be another.
bool Controller::again(Call& call, std::uint64_t item, int engine, const std::exception_ptr& error) {
  if (call.terms->retries == 0 || closing_ || given_up(call, item)) return false;
  Attempts& attempts = call.more.edit().attempts[item];
  if (attempts.errors.size() >= static_cast<std::size_t>(call.terms->retries)) return false;
  attempts.errors.push_back(wire::error_text(error));
  attempts.tried.push_back(engine);
  return true;
}

// The engine cannot run the item; it never began there.
void Controller::refused(Call& call, std::uint64_t item, int engine) {
  call.more.edit().attempts[item].refused.push_back(engine);
  call.items[item].engine = -1;
  --call.items[item].attempts;
}

// An engine no longer had a result that is an argument of the item, so it was not begun. Next time the values go along.
void Controller::arguments_gone(Call& call, std::uint64_t item) {
  for (const Prerequisite& result : call.more->deferred.arguments.tasks()) result.call->kept_on = -1;
  call.items[item].engine = -1;
  --call.items[item].attempts;
}

// Lets the item wait again.
void Controller::resubmit(Call& call, std::uint64_t item) {
  ItemRecord& record = call.items[item];
  record.status = Status::waiting;
  if (call.more->deferred.placed >= 0) call.more.edit().deferred.placed = -1;
  const TaskId task{call.id, item};
  if (given_up(call, item)) {
    end_item(call, item, Status::aborted,
             std::make_exception_ptr(TaskAborted("task " + to_string(task) + ": aborted before it ran again")));
    return;
  }
  const Attempts& attempts = call.more.edit().attempts[item];
  scheduler::Work work = work_for(call, item, 1, *block_of(call, item));
  work.avoid = std::make_shared<scheduler::Avoid>(scheduler::Avoid{attempts.tried, attempts.refused});
  if (scheduler_.submit(work, placement(call, item))) return;
  end_item(call, item, Status::failed,
           std::make_exception_ptr(ImpossibleDependency(
               task, nullptr, "every engine that may run it has refused it (Flags::depend)" + wire::listed(attempts.errors))));
}

TimeoutError Controller::timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier) {
  return TimeoutError("task " + to_string(task) + " on engine " + std::to_string(engine) + ": ran for longer than its timeout of " +
                      in_seconds(call.terms->timeout) + wire::listed(earlier));
}

// An item runs for too long, and goes on. For the client the attempt is over; the engine is not free before it ends.
void Controller::on_overdue(int engine, const wire::Overdue& overdue) {
  Call* const call = find(overdue.call);
  if (call == nullptr || overdue.item >= call->items.size() || call->items[overdue.item].status != Status::handed_out ||
      call->items[overdue.item].engine != engine)
    throw DecodeError("task " + to_string(TaskId{overdue.call, overdue.item}) + " is said to run for too long, and does not run there");
  late_.emplace(engine, overdue.call, overdue.item);
  const TaskId task{overdue.call, overdue.item};
  call->last_received = now();
  if (again(*call, overdue.item, engine, std::make_exception_ptr(timed_out(*call, task, engine, {})))) {
    resubmit(*call, overdue.item);
  } else {
    const auto attempts = call->more->attempts.find(overdue.item);
    const std::vector<std::string> earlier = attempts == call->more->attempts.end() ? std::vector<std::string>() : attempts->second.errors;
    end_item(*call, overdue.item, Status::failed, std::make_exception_ptr(timed_out(*call, task, engine, earlier)));
  }
  if (call->done()) end_call(*call);
}

// Whether an item that ends on an engine had ended for the client before.
bool Controller::was_late(int engine, std::uint64_t call, std::uint64_t item) { return late_.erase({engine, call, item}) != 0; }

void Controller::recall() {
  const std::int64_t time = now();
  if (time < next_recall_) return;
  next_recall_ = time + recall_period;
  while (const auto recall = scheduler_.recall(time)) {
    wire::Recall record;
    for (const scheduler::Range& range : recall->ranges)
      record.items.push_back({range.call, range.begin, range.end - range.begin, range.whole ? 1U : 0U});
    wire::write(outgoing(recall->engine), record);
  }
  send_all();
}

void Controller::on_returned(int engine, const wire::Returned& returned) {
  std::vector<scheduler::Range> ranges;
  for (const wire::Items& items : returned.items) {
    Call* const call = find(items.call);
    if (call == nullptr || items.first + items.count > call->items.size())
      throw DecodeError("items of call " + std::to_string(items.call) + " were given back that there are not");
    for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
      ItemRecord& record = call->items[item];
      if (record.status != Status::handed_out || record.engine != engine)
        throw DecodeError("task " + to_string(TaskId{items.call, item}) + " was given back by an engine that does not have it");
      record.status = Status::waiting;
      record.engine = -1;
      --record.attempts;
    }
    ranges.push_back({items.call, items.first, items.first + items.count, items.whole != 0});
  }
  scheduler_.returned(engine, ranges);
  for (const wire::Items& items : returned.items) {
    Call* const call = find(items.call);
    if (call == nullptr) continue;
    if (call->aborted) {
      withdraw(*call, "aborted before it ran");
    } else if (!call->more->given_up.empty()) {
      const std::shared_ptr<Call> alive = call->self;
      for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
        if (given_up(*call, item)) give_up_waiting(*call, item);
      }
    }
  }
}

// Calls whose items have waited for too long.
void Controller::check_timers() {
  const std::int64_t time = now();
  while (const auto due = timers_.next(time)) {
    Call* const call = find(*due);
    if (call == nullptr) continue;
    withdraw(*call, Status::failed, [&](const TaskId& task) {
      return std::make_exception_ptr(TimeoutError("task " + to_string(task) + ": waited on rank 0 for longer than its queue_timeout of " +
                                                  in_seconds(call->terms->queue_timeout)));
    });
  }
}

}  // namespace rankview::detail
