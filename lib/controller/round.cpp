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
namespace {

template <class E>
bool holds(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

bool Controller::round() {
  if (!run_.connected()) return false;
  bool any = engines_.endpoint().poll(*this);
  if (engines_.endpoint().anything_sent()) work_.leave(engines_.endpoint().take_sent());
  if (!transfers_.empty()) any = transfers_.progress() || any;
  if (!keeper_.empty()) any = keeper_.progress() || any;
  if (!teams_.idle()) any = teams_.progress(engines_.endpoint(), engines_, work_, [this](Call& call) { end_root_part(call); }) || any;
  if (!queue_.timers().empty()) check_timers();
  if (!stuck_teams_.empty()) stuck_teams_.check(now());
  if (settings_.signs != nullptr && settings_.signs->any()) hear_signs();
  if (shares_.any_to_look_at()) any = look_at_shares() || any;
  if (any_strays() || gate_.decided() || ledger_.any_over() || queue_.scheduler().waiting() != 0 || engines_.anything_to_send()) advance();
  // What could be handed out instead has been.
  if (queue_.scheduler().unbalanced()) recall();
  return any;
}

// Goes on with whatever has become possible, and sends. What waited for a call is on its way before that call's end is seen to; but a task
// that waits for a subtask goes on before its engine is given others.
void Controller::advance() {
  const bool sends = run_.connected() && driver_.may_drive();
  do {
    decide();
    if (!sends) continue;
    answer_subtasks();
    if (queue_.scheduler().waiting() != 0) dispatcher_.dispatch();
    engines_.send_all();
  } while (end_calls());
  if (sends) engines_.send_all();
}

// What follows from the ends of items: calls that waited go on or fail, which may end others in turn, and calls that are over end. In this
// order, so that a call can still be asked why another that waited for it fails.
void Controller::carry_out() {
  do {
    decide();
  } while (end_calls());
}

void Controller::decide() {
  if (any_strays()) settle_strays();
  while (gate_.decided()) {
    auto decision = gate_.next();
    if (decision.call == nullptr) continue;
    if (decision.met) {
      release(*decision.call, std::move(decision.engines));
    } else {
      fail_impossible(*decision.call, decision.cause);
    }
  }
}

// Tells engines what their tasks wait for, of calls that are over.
void Controller::answer_subtasks() {
  ledger_.for_each_over([this](Call& over) {
    if (!over.life().subtask || std::exchange(over.life().answered, true)) return;
    controller::answer_subtask(engines_, over);
  });
}

// Ends calls until others may go on or fail because of it. Whether any may.
bool Controller::end_calls() {
  if (!ledger_.any_over()) return gate_.decided();
  while (!gate_.decided()) {
    Call* const over = ledger_.next_over();
    if (over == nullptr) return false;
    end(*over);
  }
  return true;
}

// A call has been made that nobody is about to wait for. Whoever makes call after call and waits for none keeps things going.
void Controller::attend(std::int64_t submitted) {
  constexpr int most_rounds = 8;
  carry_out();
  const bool somebody_could_begin = engines_.anything_to_send() || (queue_.scheduler().any_idle() && queue_.scheduler().waiting() != 0);
  if (driver_.holds_back(submitted, somebody_could_begin)) return;
  advance();
  driver_.catch_up(most_rounds);
  // Continuations are for the progress thread.
  if (work_.continuations().empty()) driver_.note_attended();
}

// Asks engines for items that they have not begun and others could run now.
void Controller::recall() {
  const std::int64_t time = now();
  if (!queue_.recall_due(time)) return;
  while (const auto recall = queue_.scheduler().recall(time)) ask_back(*recall);
  engines_.send_all();
}

void Controller::ask_back(const scheduler::Recall& recall) {
  wire::Recall record;
  for (const scheduler::Range& range : recall.ranges)
    record.items.push_back({range.call, range.begin, range.end - range.begin, range.whole ? 1U : 0U});
  wire::write(engines_.to(recall.engine), record);
}

// Calls whose items have waited for too long.
void Controller::check_timers() {
  const std::int64_t time = now();
  while (const auto due = queue_.timers().next(time)) {
    Call* const call = calls_.find(*due);
    if (call == nullptr) continue;
    withdraw(*call, Status::failed, [&](const TaskId& task) {
      return std::make_exception_ptr(TimeoutError("task " + to_string(task) + ": waited on rank 0 for longer than its queue_timeout of " +
                                                  in_seconds(call->life().terms->queue_timeout)));
    });
  }
}

// ---- what follows ------------------------------------------------------------------------------------------------------------

// Encodes the arguments of a call's one item, which are all there now.
class Controller::FirstEncoding final : public controller::UserWork::Piece {
 public:
  FirstEncoding(Controller& controller, const Call& waiting)
      : Piece(waiting.life().self), controller_(controller), encode_(waiting.life().more->deferred.encode) {
    block_.count = 1;
  }

  void run() noexcept override {
    try {
      encode_(block_, nullptr);
    } catch (...) {
      error_ = with_text(caught());
    }
  }
  void finish() override {
    CallLife& life = call().life();
    if (!life.in_flight) return;
    block_.unfinished = life.blocks.front().unfinished;
    std::swap(life.blocks.front(), block_);
    controller_.enqueue_released(call(), keep(call(), std::move(error_)));
  }

 private:
  Controller& controller_;
  EncodeArguments encode_;
  ArgumentBlock block_;
  ToldError error_;
};

// What the call waited for is there.
void Controller::release(Call& call, std::vector<int>&& engines) {
  CallLife& life = call.life();
  if (life.aborted) return;
  if (!engines.empty()) call.engines = std::move(engines);
  const Deferred& deferred = life.more->deferred;
  if (deferred.encode && !deferred.plain) {
    work_.add(std::make_unique<FirstEncoding>(*this, call));
    return;
  }
  std::exception_ptr error;
  if (deferred.encode) {
    try {
      deferred.encode(life.blocks.front(), nullptr);
    } catch (...) {
      error = caught();
    }
  }
  enqueue_released(call, error);
}

// What does not go by the number of items may begin before all are there.
void Controller::enqueue_released(Call& call, const std::exception_ptr& error) {
  CallLife& life = call.life();
  if (error != nullptr) {
    // The same for all of them.
    if (holds<CompileError>(error)) life.failure = error;
    ledger_.give_up(call, Status::failed, [&error](const TaskId&) { return error; });
    return;
  }
  if (life.more->deferred.encode) life.more.edit().deferred.placed = dispatcher_.engine_with_arguments(call);
  if (gives_back(call)) {
    give_back(call);
    return;
  }
  const bool all_there = life.laid_out || controller::enqueued_as_they_come(call);
  if (life.ended == 0 && !life.checkpointed) {
    if (all_there) enqueue(call, nullptr);
    return;
  }
  if (all_there) enqueue_rest(call);
}

// Those that were not given up, or found in a checkpoint.
void Controller::enqueue_rest(Call& call) {
  if (call.life().checkpointed && shares_.splits(call)) {
    enqueue_ours(call, 0, call.life().items.size());
    return;
  }
  queue_.enqueue(call);
  for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
    if (call.life().items[item].status != Status::waiting) queue_.withdraw(call, item);
  }
}

// What the call waited for will never be there, because of what became of one task.
void Controller::fail_impossible(Call& call, const TaskId& cause) {
  const auto error = gate_.impossible(cause);
  if (call.life().laid_out) {
    ledger_.give_up(call, Status::failed, error);
  } else {
    call.life().more.edit().doomed = error({call.id, 0});
  }
}

void Controller::end_root_part(Call& call) {
  work_.leave(std::move(call.root.edit().kept));
  call.life().last_received = now();
  ledger_.seal(call);
}

// The call is over: lets go of all that was there for it, and has done what was to follow.
void Controller::end(Call& call) {
  CallLife& life = call.life();
  std::shared_ptr<Call> unwanted = calls_.end(call);
  if (life.terms->queue_timeout != 0) queue_.timers().note_end([this](std::uint64_t id) { return calls_.find(id) == nullptr; });
  gate_.forget(call);
  leave_teams(call);
  if (run_.connected()) {
    for (const int engine : life.more->object_holders) wire::write(engines_.to(engine), wire::DropCallable{call.id});
    if (life.subtask && !life.answered) controller::answer_subtask(engines_, call);
  }
  if (life.subtask) {
    const TaskId parent = controller::submitter_of(call);
    if (Call* const waiting = calls_.find(parent.call)) waiting->life().more.edit().subtasks.edit().erase({parent.item, call.id});
  }
  if (call.root) {
    work_.leave(std::move(call.root.edit().kept));
    call.root.reset();
  }
  for (ArgumentBlock& block : life.blocks) work_.leave(std::move(block.data.kept));
  std::vector<ArgumentBlock>().swap(life.blocks);
  call.function.object.reset();
  if (life.more) {
    Uncommon& more = life.more.edit();
    if (more.deferred.encode) work_.leave(std::move(more.deferred));
    more.attempts.reset();
  }
  work_.continuations().take(call);
  if (life.abandoned) report_unseen(call);
  if (settings_.recorder != nullptr) settings_.recorder->over(call);
  work_.leave(std::move(unwanted));
}

void Controller::leave_teams(const Call& call) {
  const CallLife& life = call.life();
  if (life.team != 0) teams_.leave(life.team);
  for (const std::vector<int>& team : life.more->teams) {
    if (const auto number = life.more->team_numbers->find(team.front()); number != life.more->team_numbers->end())
      teams_.leave(number->second);
  }
}

}  // namespace rankview::detail
