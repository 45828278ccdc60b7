// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/subtasks.hpp"
#include "controller/task_errors.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// The order of a round, and what follows from the ends of items.
namespace rankview::inline abi_0_1::detail {

bool Controller::round() {
  if (!run_.connected()) return false;
  bool any = endpoint_.poll(*this);
  if (!transfers_.empty()) any = transfers_.progress() || any;
  if (!teams_.idle()) any = teams_.progress(endpoint_, engines_, [this](Call& call) { end_root_part(call); }) || any;
  if (!timers_.empty()) check_timers();
  if (queue_.scheduler().unbalanced()) recall();
  if (!stuck_teams_.empty()) stuck_teams_.check(now());
  advance();
  return any;
}

// Goes on with whatever has become possible, and sends.
void Controller::advance() {
  carry_out();
  if (!run_.connected() || !driver_.may_drive()) return;
  if (queue_.scheduler().waiting() != 0) {
    dispatcher_.dispatch();
    carry_out();
  }
  engines_.send_all();
}

// What follows from the ends of items: calls that waited go on or fail, which may end others in turn, and calls that are over end. In this
// order, so that a call can still be asked why another that waited for it fails.
void Controller::carry_out() {
  for (;;) {
    if (auto decision = gate_.next()) {
      if (decision->met) {
        release(*decision->call, std::move(decision->engines));
      } else {
        fail_impossible(*decision->call, decision->cause);
      }
    } else if (Call* const over = ledger_.next_over()) {
      end(*over);
    } else {
      return;
    }
  }
}

// A call has been made that nobody is about to wait for. Whoever makes call after call and waits for none keeps things going.
void Controller::attend(std::int64_t submitted) {
  constexpr int most_rounds = 8;
  carry_out();
  if (driver_.holds_back(submitted, queue_.scheduler().any_idle())) return;
  advance();
  driver_.catch_up(most_rounds);
  // Continuations are for the progress thread.
  if (continuations_.empty()) driver_.note_attended();
}

// Asks engines for items that they have not begun and others could run now.
void Controller::recall() {
  constexpr std::int64_t period = 100'000;  // nanoseconds between two such questions
  const std::int64_t time = now();
  if (time < next_recall_) return;
  next_recall_ = time + period;
  while (const auto recall = queue_.scheduler().recall(time)) {
    wire::Recall record;
    for (const scheduler::Range& range : recall->ranges)
      record.items.push_back({range.call, range.begin, range.end - range.begin, range.whole ? 1U : 0U});
    wire::write(engines_.to(recall->engine), record);
  }
}

// Calls whose items have waited for too long.
void Controller::check_timers() {
  const std::int64_t time = now();
  while (const auto due = timers_.next(time)) {
    Call* const call = calls_.find(*due);
    if (call == nullptr) continue;
    withdraw(*call, Status::failed, [&](const TaskId& task) {
      return std::make_exception_ptr(TimeoutError("task " + to_string(task) + ": waited on rank 0 for longer than its queue_timeout of " +
                                                  in_seconds(call->terms->queue_timeout)));
    });
  }
}

// ---- what follows ------------------------------------------------------------------------------------------------------------

// What the call waited for is there.
void Controller::release(Call& call, std::vector<int>&& engines) {
  if (call.aborted) return;
  if (!engines.empty()) call.engines = std::move(engines);
  if (call.more->deferred.encode) {
    try {
      call.more->deferred.encode(call.blocks.front(), nullptr);
      call.more.edit().deferred.placed = dispatcher_.engine_with_arguments(call);
    } catch (...) {
      ledger_.give_up(call, Status::failed, [error = caught()](const TaskId&) { return error; });
      return;
    }
  }
  // What does not go by the number of items may begin before all are there.
  if (call.laid_out || controller::enqueued_as_they_come(call)) queue_.enqueue(call);
  if (call.ended == 0) return;
  // Some were given up meanwhile.
  for (std::uint64_t item = 0; item < call.items.size(); ++item) {
    if (has_ended(call.items[item].status)) queue_.withdraw(call, item);
  }
}

// What the call waited for will never be there, because of what became of one task.
void Controller::fail_impossible(Call& call, const TaskId& cause) {
  const auto error = gate_.impossible(cause);
  if (call.laid_out) {
    ledger_.give_up(call, Status::failed, error);
  } else {
    call.more.edit().doomed = error({call.id, 0});
  }
}

void Controller::end_root_part(Call& call) {
  call.root.edit().kept.reset();
  call.last_received = now();
  ledger_.seal(call);
}

// The call is over: lets go of all that was there for it, and has done what was to follow.
void Controller::end(Call& call) {
  const std::shared_ptr<Call> alive = calls_.end(call);
  if (call.terms->queue_timeout != 0) timers_.note_end([this](std::uint64_t id) { return calls_.find(id) == nullptr; });
  gate_.forget(call);
  if (call.team != 0) teams_.leave(call.team);
  for (const std::vector<int>& team : call.more->teams) {
    if (const auto number = call.more->team_numbers.find(team.front()); number != call.more->team_numbers.end())
      teams_.leave(number->second);
  }
  if (run_.connected()) {
    for (const int engine : call.more->object_holders) wire::write(engines_.to(engine), wire::Forget{call.id});
    if (call.subtask) controller::answer_subtask(engines_, call);
  }
  call.root.reset();
  std::vector<ArgumentBlock>().swap(call.blocks);
  call.function.object.reset();
  if (call.more) {
    call.more.edit().deferred = {};
    call.more.edit().attempts.clear();
  }
  continuations_.take(call);
  if (call.abandoned) report_unseen(call);
}

}  // namespace rankview::detail
