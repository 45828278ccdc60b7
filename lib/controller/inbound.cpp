// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/subtasks.hpp"
#include "controller/task_errors.hpp"
#include "marks/mark.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>

// What engines say to rank 0.
namespace rankview::inline abi_0_1::detail {

void Controller::on_frame(transport::Frame& frame) {
  try {
    const int engine = engines_.by_peer(frame.peer);
    Reader in(frame.records);
    while (!in.done()) on_record(frame, engine, wire::read(in));
  } catch (const DecodeError& error) {
    // Without it some task would never end, and its client wait for ever.
    transport::end_process(
        1, "rank 0 received a message from rank " + std::to_string(frame.peer) + " that it cannot read: " + wire::error_text(error));
  }
}

void Controller::on_record(transport::Frame& frame, int engine, const wire::Record& record) {
  if (const auto* results = std::get_if<wire::Results>(&record)) {
    on_results(frame, engine, *results);
  } else if (const auto* team_ready = std::get_if<wire::TeamReady>(&record)) {
    teams_.on_join(team_ready->team, engine);
  } else if (const auto* memory = std::get_if<wire::Memory>(&record)) {
    engines_.account(engine).memory = *memory;
  } else if (const auto* returned = std::get_if<wire::Returned>(&record)) {
    on_returned(engine, *returned);
  } else if (const auto* overdue = std::get_if<wire::Overdue>(&record)) {
    on_overdue(engine, *overdue);
  } else if (const auto* subtask = std::get_if<wire::Subtask>(&record)) {
    on_subtask(engine, *subtask);
  } else if (const auto* suspended = std::get_if<wire::Suspended>(&record)) {
    engines_.losses().late().note_suspended(engine, suspended->items);
    tell_suspended(engine);
  } else if (const auto* published = std::get_if<wire::Published>(&record)) {
    on_published(*published);
  } else if (const auto* printed = std::get_if<wire::Printed>(&record)) {
    on_printed(engine, *printed);
  } else if (std::holds_alternative<wire::Bye>(record)) {
    engines_.left(engine);
  } else {
    throw DecodeError("a record that only the controller sends");
  }
}

// ---- results -----------------------------------------------------------------------------------------------------------------

// An engine has ended an item that it had. Whether that is to be run again. Inline, since it is for every item.
bool Controller::on_result(transport::Frame& frame, Call& call, std::uint64_t item, int engine, const wire::ItemResult& result,
                           std::int64_t began, std::int64_t received) {
  ItemRecord& record = call.life().items[item];
  if (record.engine == engine) {
    record.started = began;
    record.completed = result.completed;
    record.received = received;
  }
  if (result.failed) return on_failure(call, item, engine, result.value);
  if (record.engine == engine) {
    transfers_.receive(frame, call, item, result.value);
  } else {
    ledger_.finished(call, item, Status::completed, nullptr);
  }
  return false;
}

void Controller::on_results(transport::Frame& frame, int engine, const wire::Results& results) {
  if (engines_.losses().late().any() && engines_.losses().late().any(engine)) {
    on_late_results(frame, engine, results);
    return;
  }
  Call* const call = calls_.find(results.call);
  if (!retries_.any_expired() && (call == nullptr || results.first + results.count > call->life().items.size()))
    throw DecodeError("results for items that nobody asked for, of call " + std::to_string(results.call));
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  std::vector<std::uint64_t> again;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    const std::int64_t began = std::exchange(started, result.completed);
    if (retries_.any_expired() && retries_.take_expired(engine, results.call, item)) {
      RANKVIEW_MARK(expired_attempt_ended);
      continue;
    }
    if (call == nullptr || item >= call->life().items.size())
      throw DecodeError("a result of task " + to_string(TaskId{results.call, item}) + ", which nobody asked for");
    if (call->life().items[item].status != Status::handed_out)
      throw DecodeError("a second result of task " + to_string(TaskId{call->id, item}));
    if (on_result(frame, *call, item, engine, result, began, received)) again.push_back(item);
  }
  transfers_.flush();
  ledger_.flush_records();
  queue_.scheduler().finished(engine, results.call, results.first, results.first + results.count, started - results.started);
  if (call == nullptr) return;
  call->life().last_received = received;
  // Until finished() the scheduler counts them against the engine.
  for (const std::uint64_t item : again) resubmit(*call, item);
}

// The same for an engine that was set aside: some of it the scheduler does not count any more, and some of that is not wanted.
void Controller::on_late_results(transport::Frame& frame, int engine, const wire::Results& results) {
  Call* const call = calls_.find(results.call);
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    const std::int64_t began = std::exchange(started, result.completed);
    const std::optional<bool> late = engines_.losses().late().take(engine, {results.call, item});
    const bool expired = retries_.take_expired(engine, results.call, item);
    bool again = false;
    if (late.value_or(false) || expired) {
      RANKVIEW_MARK(late_result_not_wanted);
      if (!frame.attachment_sizes.empty()) transfers_.drop(frame);
    } else if (call == nullptr || item >= call->life().items.size() || call->life().items[item].status != Status::handed_out) {
      throw DecodeError("a result of task " + to_string(TaskId{results.call, item}) + ", which nobody asked for");
    } else {
      RANKVIEW_MARK(late_result_wanted);
      again = on_result(frame, *call, item, engine, result, began, received);
    }
    if (!late) queue_.scheduler().finished(engine, results.call, item, item + 1, result.completed - began);
    if (again) resubmit(*call, item);
  }
  transfers_.flush();
  ledger_.flush_records();
  tell_suspended(engine);
  if (call != nullptr) call->life().last_received = received;
}

// An engine says that an item failed there. Whether it is to be run again.
bool Controller::on_failure(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value) {
  Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (call.spread == Spread::teams && controller::ItemLedger::is_again_behind_team(call, item)) {
    // It may have failed because of that.
    ledger_.finished(call, item, Status::failed, nullptr);
    return false;
  }
  switch (failure.kind) {
    case wire::FailureKind::stood_back:
      ++engines_.account(engine).failed;
      ledger_.finished(call, item, Status::aborted, nullptr);
      return false;
    case wire::FailureKind::stopped:
      if (gives_back(call) && !given_up(call, item)) {
        give_back(call, item, "the task was not run");
        return false;
      }
      RANKVIEW_MARK(withdrawn_at_engine);
      ledger_.finished(call, item, Status::aborted, task_aborted({call.id, item}, "aborted before it ran"));
      return false;
    case wire::FailureKind::killed:
      ++engines_.account(engine).failed;
      if (gives_back(call) && !given_up(call, item)) {
        give_back(call, item, "the task, which ran, was ended");
        return false;
      }
      RANKVIEW_MARK(killed_while_it_ran);
      ledger_.finished(call, item, Status::aborted, task_aborted({call.id, item}, "aborted while it ran: its process was killed"));
      return false;
    case wire::FailureKind::team_broken:
      // The one that has died may have ended its part before.
      if (call.spread == Spread::teams && run_.open() && call.life().terms->on_engine_death == OnEngineDeath::rerun) {
        RANKVIEW_MARK(team_item_again);
        ledger_.again_behind_team(call, item);
        ledger_.finished(call, item, Status::failed, nullptr);
        return false;
      }
      RANKVIEW_MARK(team_item_lost);
      ledger_.finished(call, item, Status::failed,
                       engines_.losses().error(missing_engine(call, item), {call.id, item}, "others ran the task together with it"));
      return false;
    case wire::FailureKind::refused:
      controller::RetryPolicy::note_refusal(call, item, engine);
      ledger_.not_begun(call, item);
      return true;
    case wire::FailureKind::gone:
      RANKVIEW_MARK(argument_gone_from_cache);
      // Next time the values of results that are its arguments go along.
      for (const Prerequisite& result : call.life().more->deferred.arguments.tasks()) result.call->life().cached_on = -1;
      ledger_.not_begun(call, item);
      return true;
    default:
      break;
  }
  const std::exception_ptr first = task_error(call, item, engines_[engine], engine, failure, {});
  if (retries_.retry_after(call, item, engine, first)) {
    ledger_.failed(call, item);
    return true;
  }
  const auto earlier = controller::RetryPolicy::earlier_errors(call, item);
  std::exception_ptr error = earlier.empty() ? first : task_error(call, item, engines_[engine], engine, failure, earlier);
  if (call.life().checkpointed) note_failure(*call.life().more->checkpointed, item, wire::error_text(error));
  if (call.communicator) stuck_teams_.note(call, item, now(), error);
  ledger_.finished(call, item, Status::failed, std::move(error));
  return false;
}

// Whether any engine that may run its items has not died.
bool Controller::somebody_left(const Call& call) const {
  const Terms& terms = *call.life().terms;
  const auto could = [&](int id) {
    return !engines_.lost(id) && (terms.isolation == Isolation::none || engines_[id].slots >= terms.slots);
  };
  if (call.spread == Spread::teams) {
    return std::any_of(call.life().more->teams.begin(), call.life().more->teams.end(),
                       [&](const std::vector<int>& team) { return std::all_of(team.begin(), team.end(), could); });
  }
  if (!call.engines.empty()) return std::any_of(call.engines.begin(), call.engines.end(), could);
  for (int id = 0; id < engines_.count(); ++id) {
    if (could(id)) return true;
  }
  return false;
}

// Lets an item wait for an engine again.
void Controller::resubmit(Call& call, std::uint64_t item) {
  if (call.life().more->deferred.placed >= 0) call.life().more.edit().deferred.placed = -1;
  const TaskId task{call.id, item};
  if (call.spread == Spread::teams) deal_teams_anew(call);
  if (given_up(call, item)) {
    RANKVIEW_MARK(aborted_before_rerun);
    ledger_.ended(call, item, Status::aborted, task_aborted(task, "aborted before it ran again"));
  } else if (gives_back(call)) {
    RANKVIEW_MARK(drained_before_rerun);
    give_back(call, item, "the task was not run again");
  } else if (!queue_.enqueue_again(call, item, controller::RetryPolicy::avoid(call, item), controller::RetryPolicy::suspect(call, item))) {
    if (engines_.losses().any() && !somebody_left(call)) {
      RANKVIEW_MARK(nobody_left_to_rerun);
      ledger_.ended(call, item, Status::failed,
                    engines_.losses().error(missing_engine(call, item), task, "nobody is left to run the task"));
      return;
    }
    ledger_.ended(call, item, Status::failed,
                  std::make_exception_ptr(ImpossibleDependency(task, nullptr,
                                                               "every engine that may run it has refused it (Flags::depend)" +
                                                                   wire::listed(controller::RetryPolicy::earlier_errors(call, item)))));
  }
}

// How much of what the engine has waits for others.
void Controller::tell_suspended(int engine) {
  if (engines_.live(engine)) queue_.scheduler().suspended(engine, engines_.losses().late().suspended(engine));
}

// ---- the rest ----------------------------------------------------------------------------------------------------------------

// An item runs for too long, and goes on. For the client the attempt is over; the engine is not free before it ends.
void Controller::on_overdue(int engine, const wire::Overdue& overdue) {
  Call* const call = calls_.find(overdue.call);
  const TaskId task{overdue.call, overdue.item};
  if (engines_.losses().late().given_away(engine, task)) return;
  if (call == nullptr || overdue.item >= call->life().items.size() || call->life().items[overdue.item].status != Status::handed_out ||
      call->life().items[overdue.item].engine != engine)
    throw DecodeError("task " + to_string(task) + " is said to run for too long, and does not run there");
  retries_.note_expired(engine, overdue.call, overdue.item);
  call->life().last_received = now();
  if (retries_.retry_after(*call, overdue.item, engine, task_timed_out(*call, task, engine, {}))) {
    RANKVIEW_MARK(overdue_attempt_tried_again);
    ledger_.failed(*call, overdue.item);
    resubmit(*call, overdue.item);
  } else {
    const auto earlier = controller::RetryPolicy::earlier_errors(*call, overdue.item);
    ledger_.ended(*call, overdue.item, Status::failed, task_timed_out(*call, task, engine, earlier));
  }
}

// An engine gives back what it has not begun.
void Controller::on_returned(int engine, const wire::Returned& returned) {
  std::vector<scheduler::Range> ranges;
  if (engines_.losses().late().any(engine)) {
    on_late_return(engine, returned);
    return;
  }
  for (const wire::Items& items : returned.items) {
    Call* const call = calls_.find(items.call);
    if (call == nullptr || items.first + items.count > call->life().items.size())
      throw DecodeError("items of call " + std::to_string(items.call) + " were given back that there are not");
    for (std::uint64_t item = items.first; item < items.first + items.count; ++item) ledger_.returned(*call, item, engine);
    ranges.push_back({items.call, items.first, items.first + items.count, items.whole != 0});
  }
  queue_.scheduler().returned(engine, ranges);
  for (const wire::Items& items : returned.items) {
    Call& call = *calls_.find(items.call);
    if (call.life().aborted) {
      withdraw(call, "aborted before it ran");
    } else if (gives_back(call)) {
      give_back(call);
    } else if (!call.life().more->given_up->empty()) {
      for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
        if (given_up(call, item)) withdraw_waiting(call, item);
      }
    }
  }
}

// The same for one that was set aside, of which the scheduler does not count some.
void Controller::on_late_return(int engine, const wire::Returned& returned) {
  for (const wire::Items& items : returned.items) {
    Call* const call = calls_.find(items.call);
    for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
      const std::optional<bool> late = engines_.losses().late().take(engine, {items.call, item});
      if (!late) queue_.scheduler().finished(engine, items.call, item, item + 1, 0);
      if (call == nullptr || late.value_or(false)) continue;
      RANKVIEW_MARK(late_return_run_again);
      ledger_.returned(*call, item, engine);
      resubmit(*call, item);
    }
  }
  tell_suspended(engine);
}

// What is published of a call that is over, or that nobody can ask any more, is dropped.
void Controller::on_published(const wire::Published& published) {
  Call* const call = calls_.find(published.call);
  if (call == nullptr || call->life().abandoned) return;
  if (published.item >= call->life().items.size())
    throw DecodeError("a value of task " + to_string(TaskId{published.call, published.item}) + ", which there is not");
  call->life().more.edit().published.edit()[published.item][published.name] =
      std::make_shared<const PublishedValue>(PublishedValue{published.type, {published.value.begin(), published.value.end()}});
}

// What has been printed by an attempt that is none any more, since another has been made or may be, is dropped.
void Controller::on_printed(int engine, const wire::Printed& printed) {
  Call* const call = calls_.find(printed.call);
  if (call == nullptr) return;
  const TaskId task{printed.call, printed.item};
  if (printed.item >= call->life().items.size()) throw DecodeError("something printed by task " + to_string(task) + ", which there is not");
  const ItemRecord& record = call->life().items[printed.item];
  if (call->spread != Spread::teams && record.engine != engine) return;
  if (retries_.expired(engine, printed.call, printed.item) && !has_ended(record.status)) return;
  const auto text = [](std::span<const std::byte> bytes) { return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()); };
  capture::Texts texts{text(printed.out), text(printed.err)};
  if (settings_.recorder != nullptr) settings_.recorder->printed(*call, printed.item, engine, texts);
  if (call->life().abandoned) return;
  PrintedBy& known = call->life().more.edit().printed.edit()[printed.item];
  if (known.attempt != record.attempts) known = {record.attempts, {}};
  known.engines[engine] = std::move(texts);
}

void Controller::on_subtask(int engine, const wire::Subtask& subtask) {
  Call* const parent = calls_.find(subtask.parent_call);
  if (parent == nullptr || given_up(*parent, subtask.parent_item) || !run_.open()) {
    RANKVIEW_MARK(subtask_not_wanted);
    controller::refuse_subtask(engines_, engine, subtask.ticket,
                               std::make_exception_ptr(TaskAborted("the task that submitted it is not wanted any more")));
    return;
  }
  std::shared_ptr<Call> call;
  try {
    call = controller::make_subtask(*parent, engine, subtask);
  } catch (const DecodeError&) {
    // That rank 0 does not have it is no fault of the message.
    controller::refuse_subtask(engines_, engine, subtask.ticket, std::current_exception());
    return;
  }
  call->life().submitted = now();
  add(call);
  // It takes turns with what the client submits elsewhere, as its parent does.
  call->life().submitter = parent->life().submitter;
  add(*call, controller::arguments_of(subtask));
  lay_out(*call);
  parent->life().more.edit().subtasks.edit().emplace(subtask.parent_item, call->id);
}

}  // namespace rankview::detail
