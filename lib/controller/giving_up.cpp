// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <memory>
#include <utility>
#include <vector>

// Clients call off what they have asked for: what waits ends at once, and engines are told of the rest.
namespace rankview::inline abi_0_1::detail {

void Controller::cancel(Call& call) {
  const auto visit = driver_.visit();
  call.life().error_seen = true;
  call.life().abandoned = true;
  ledger_.seal(call);
  withdraw(call, "the range of its map threw");
  advance();
  // The run may have ended before.
  if (!call.life().in_flight) work_.leave(calls_.drop(call));
}

void Controller::abort(Call& call) {
  const auto visit = driver_.visit();
  mark_aborted(call);
  advance();
}

// Gives up what waits of a call, tells engines of the rest, and likewise with the subtasks that its tasks have submitted, and theirs.
void Controller::mark_aborted(Call& call) {
  std::vector<Call*> given_up{&call};
  while (!given_up.empty()) {
    Call& next = *given_up.back();
    given_up.pop_back();
    next.life().aborted = true;
    withdraw(next, "aborted while it waited");
    dispatcher_.stop(next, 0, next.life().items.size());
    for (const auto& [item, number] : *next.life().more->subtasks) {
      if (Call* const subtask = calls_.find(number)) given_up.push_back(subtask);
    }
  }
}

void Controller::abort(Call& call, std::uint64_t item) {
  const auto visit = driver_.visit();
  if (item >= call.life().items.size() || has_ended(call.life().items[item].status)) return;
  if (call.life().items.size() == 1 || call.spread == Spread::together || call.spread == Spread::rank_0) {
    mark_aborted(call);
    advance();
    return;
  }
  if (call.life().items[item].status == Status::waiting) {
    withdraw_waiting(call, item);
  } else {
    call.life().more.edit().given_up.edit().insert(item);
    dispatcher_.stop(call, item, item + 1);
    const auto& subtasks = *call.life().more->subtasks;
    for (auto at = subtasks.lower_bound({item, 0}); at != subtasks.end() && at->first == item;) {
      Call* const subtask = calls_.find((at++)->second);
      if (subtask != nullptr) mark_aborted(*subtask);
    }
  }
  advance();
}

void Controller::abort_if(const std::function<bool(const Call&)>& wanted) {
  const auto visit = driver_.visit();
  for (const auto& call : calls_.unfinished()) {
    if (!wanted(*call)) continue;
    call->life().error_seen = true;
    mark_aborted(*call);
  }
  advance();
}

void Controller::abort_all(const std::string& why) {
  const auto visit = driver_.visit();
  work_.continuations().stop();
  for (const auto& call : calls_.unfinished()) {
    // That these are given up is told to the client as a whole.
    if (call->life().errors->empty()) call->life().error_seen = true;
    call->life().aborted = true;
    withdraw(*call, why);
    dispatcher_.stop(*call, 0, call->life().items.size());
  }
  advance();
}

void Controller::withdraw(Call& call, const std::string& why) {
  withdraw(call, Status::aborted, [&why](const TaskId& task) { return task_aborted(task, why); });
}

// Ends what has not been handed out, whether it stands in a queue, waits for others or was never laid out.
void Controller::withdraw(Call& call, Status status, const MakeError& error) {
  if (!call.life().in_flight) return;
  queue_.withdraw(call);
  ledger_.give_up(call, status, error);
}

// The same for one item that has not been handed out.
void Controller::withdraw_waiting(Call& call, std::uint64_t item) {
  if (call.life().items[item].status != Status::waiting) return;
  queue_.withdraw(call, item);
  ledger_.ended(call, item, Status::aborted, task_aborted({call.id, item}, "aborted while it waited"));
}

void Controller::abandon(Call& call) noexcept {
  std::shared_ptr<Call> unwanted;  // goes when the lock has
  const auto visit = driver_.visit();
  CallLife& life = call.life();
  life.abandoned = true;
  if (life.more->published) life.more.edit().published.reset();
  if (life.done()) report_unseen(call);
  const bool being_filled = life.team != 0 && !life.sealed;
  if (!life.in_flight) {
    unwanted = calls_.drop(call);
  } else if (!transfers_.writing(call) && !being_filled && !life.saves) {
    controller::discard_results(work_, call);
  }
}

}  // namespace rankview::detail
