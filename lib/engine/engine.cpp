// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include "engine/crash_report.hpp"
#include "engine/current.hpp"
#include "marks/mark.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <pthread.h>
#include <iterator>
#include <mutex>
#include <new>
#include <utility>
#include <variant>

// The loop of an engine, and what it is told. How it runs tasks is in run_batch.cpp.
namespace rankview::engine {

// Reached by who does not get it at once, so that what runs a task need not look whether it is a forked child.
void EngineLock::wait() const {
  if (forked_) transport::end_process(1, "a child that a task has forked came back from the task, or used rankview: end it with _exit()");
  std::this_thread::yield();
}

Engine::Engine(const Settings& settings, Variables& variables)
    : settings_(settings), variables_(variables), loop_(settings.idle), progress_thread_([this] { beat(); }) {
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    if (TaskHost* const here = running_here()) here->withhold();
  });
  static_cast<void>(registered);
  if (settings_.progress_thread) progress_thread_.start(settings_.clock);
}

wire::End Engine::serve(transport::Endpoint& endpoint) {
  outbox_.attach(endpoint);
  loop_.begin();
  const ServingHere here(*this, settings_.own_process);
  const HandlerStack handler_stack;
  const capture::Diverted diverted(settings_.outputs);

  runs_.forget_stack();
  memory_report_.reset();
  transport::Idle idle(loop_.spin());
  while (!end_.known() || !inbox_.empty() || slot_runs_.size() != 0) {
    let_go();
    if (carry_out_next()) {
      idle.reset();
      continue;
    }
    outbox_.flush();
    deliveries_.progress();
    if (slot_runs_.size() != 0) {
      // These end without a message.
      poll_or_nap(idle);
      continue;
    }
    if (inbox_.empty()) inbox_.forget_stops();
    if (endpoint.poll(*this)) {
      idle.reset();
      memory_report_.note_message();
      continue;
    }
    if (memory_report_.due_after_look()) report_memory();
    if (endpoint.doze(idle)) progress_thread_.park();
  }
  // What arrives from here on belongs to the next run.
  wire::End end = end_.take();
  inbox_.forget_stops();
  teams_.forget_turns();
  auto objects = callables_.clear();
  left_.insert(left_.end(), std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end()));
  for (auto& entry : cache_.clear()) left_.push_back(std::move(entry.value));
  leave();

  // Something of the next run may have come already.
  if (inbox_.empty()) progress_thread_.park();
  outbox_.detach();
  return end;
}

void Engine::leave() {
  outbox_.write(wire::Bye{});
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!outbox_.endpoint().flushed() || deliveries_.progress() || deliveries_.any_unwanted()) {
    let_go();
    if (outbox_.endpoint().poll(*this)) {
      idle.reset();
    } else {
      outbox_.endpoint().doze(idle);
    }
  }
  let_go();
}

void Engine::destroy_left() {
  auto left = std::exchange(left_, {});
  auto of_messages = inbox_.take_left();
  auto sent = outbox_.endpoint().take_sent();
  const EngineLock::Lent lent(lock_);
  left.clear();
  of_messages.clear();
  sent.clear();
}

bool Engine::carry_out_next() {
  if (collect()) return true;
  if (inbox_.empty() || (settings_.slots != nullptr && !may_begin(inbox_.front()))) return false;
  Inbox::Command next = inbox_.pop();
  if (settings_.slots != nullptr && isolated(next)) {
    run_beside(std::move(next));
  } else if (const auto* batch = std::get_if<wire::Batch>(&next.what)) {
    run(*batch, *next.message, next.number);
    done_with(*batch, *next.message);
  } else if (const auto* join_team = std::get_if<wire::Join>(&next.what)) {
    join(*join_team);
  } else {
    teams_.disband(std::get<wire::Disband>(next.what).team);
  }
  return true;
}

// Making a communicator blocks, so nobody begins before all are there.
void Engine::join(const wire::Join& join) {
  const Loop::WaitingFor waiting(loop_, "the other engines of a team, to make a communicator with them");
  teams_.join(join.team, {join.engines.begin(), join.engines.end()});
  outbox_.write(wire::TeamReady{join.team});
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!teams_.may_make(join.team) && !teams_.broken(join.team)) poll_or_nap(idle);
  if (!teams_.may_make(join.team)) {
    RANKVIEW_MARK(team_broken_before_made);
    return;
  }
  std::vector<int> peers;
  for (const std::int32_t id : join.engines) peers.push_back(id + 1);
  // Should one of them die just now, this never ends.
  const std::uint64_t turn = teams_.begin_making(join.team);
  std::unique_ptr<transport::Team> made;
  {
    const EngineLock::Lent lent(lock_);
    made = outbox_.endpoint().assemble(turn, peers);
  }
  teams_.made(join.team, std::move(made));
}

// It has been run, or will not be: takes in what was sent for it and is not needed.
void Engine::done_with(const wire::Batch& batch, InMessage& message) {
  drop(message);
  drop(deliveries_.expect_no_more(batch));
}

// A look for messages, or a pause between two, for who waits for one. In the pause the progress thread may do something.
void Engine::poll_or_nap(transport::Idle& idle) {
  if (outbox_.endpoint().poll(*this)) {
    idle.reset();
  } else if (const auto pause = idle.pause(); pause.count() != 0) {
    const EngineLock::Lent lent(lock_);
    settings_.clock.nap(pause);
  }
}

// Between two tasks, now and then.
void Engine::look(std::int64_t now) {
  constexpr int flood = 64;
  for (int i = 0; i < flood && outbox_.endpoint().poll(*this); ++i) continue;
  let_go();
  loop_.note_look(now);
  deliveries_.progress();
  // Without a progress thread nobody would send them during the next task, however long that is.
  if (outbox_.due(now) || (outbox_.has_results() && !settings_.progress_thread)) outbox_.flush();
}

void Engine::report_memory() {
  const std::int64_t begin = settings_.clock.now();
  // A thread of the client's process may be about to sleep until the next message.
  if (memory_report_.too_early(begin) && settings_.own_process) return;
  const wire::Memory memory{variables_.size(), variables_.bytes()};
  if (!memory_report_.counted(memory, begin, settings_.clock.now())) return;
  outbox_.write(memory);
  outbox_.flush();
}

// In the progress thread, while one item takes long.
void Engine::beat() {
  if (!lock_.try_lock()) return;
  std::unique_lock held(lock_, std::adopt_lock);
  // Between two runs there is no endpoint; the loop then has the lock, and this is not reached.
  constexpr int flood = 64;
  for (int i = 0; i < flood && outbox_.endpoint().poll(*this); ++i) continue;
  if (runs_.overdue(settings_.clock) && !std::exchange(runs_->told_overdue, true)) {
    runs_.want_stop();
    outbox_.write(wire::Overdue{runs_->call, runs_->item});
  }
  end_if_stuck();
  outbox_.flush();
  if (end_.client_failed_since(settings_.grace, settings_.clock.now()))
    transport::end_process(static_cast<int>(end_->exit_code),
                           "the client failed (" + end_->reason + "), and the running task of engine " + std::to_string(settings_.id) +
                               " did not stop within " + std::to_string(settings_.grace.count()) + " ms (RANKVIEW_SHUTDOWN_GRACE_MS)");
  std::stop_source due = runs_.due_stop(settings_.clock);
  held.unlock();
  const RunningHere here(this);  // for callbacks of the task's stop token
  due.request_stop();
}

// The task may wait in MPI for an engine that has died, where nobody can call it back.
void Engine::end_if_stuck() {
  const auto broken_for = teams_.broken_for(runs_->team, settings_.clock.now());
  if (!broken_for) return;
  runs_.want_stop();
  if (std::chrono::nanoseconds(*broken_for) > settings_.team_grace)
    transport::end_process(1, "engine " + std::to_string(settings_.id) +
                                  " ends: it runs a task together with an engine that has died, has not ended or begun it within " +
                                  std::to_string(settings_.team_grace.count()) +
                                  " ms (RANKVIEW_TEAM_GRACE_MS), and may wait for that one in MPI");
}

// ---- what rank 0 and other engines say ---------------------------------------------------------------------------------------

void Engine::on_frame(transport::Frame& frame) {
  const std::shared_ptr<InMessage> message = inbox_.take_in(frame);
  detail::Reader in(frame.records);
  try {
    while (!in.done()) on_record(wire::read(in), message);
  } catch (const DecodeError& error) {
    // Who can no longer understand the controller can only end: with tasks lost, going on would wait for ever.
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a message it cannot read: " + wire::error_text(error));
  }
}

void Engine::on_record(const wire::Record& record, const std::shared_ptr<InMessage>& message) {
  if (const auto* batch = std::get_if<wire::Batch>(&record)) {
    on_batch(*batch, message);
  } else if (const auto* state = std::get_if<wire::CallableState>(&record)) {
    callables_.add(*state, message);
  } else if (const auto* drop_callable = std::get_if<wire::DropCallable>(&record)) {
    if (auto dropped = callables_.drop(drop_callable->call)) left_.push_back(std::move(dropped));
  } else if (const auto* end = std::get_if<wire::End>(&record)) {
    on_end(*end);
  } else if (const auto* stop = std::get_if<wire::Stop>(&record)) {
    inbox_.stop(*stop);
    slot_runs_.stop(*stop);
    if (inbox_.stopped(runs_->call, runs_->item, runs_->number)) runs_.want_stop();
  } else if (const auto* result = std::get_if<wire::SubtaskResult>(&record)) {
    if (!subtasks_.ended(*result) && result->failed != 0) report_unseen(result->value);
  } else if (const auto* forward = std::get_if<wire::Forward>(&record)) {
    deliver(*forward);
  } else if (const auto* delivery = std::get_if<wire::Delivery>(&record)) {
    drop(deliveries_.arrived(*delivery, message));
  } else if (const auto* lost = std::get_if<wire::Lost>(&record)) {
    on_lost(*lost);
  } else if (const auto* recall = std::get_if<wire::Recall>(&record)) {
    outbox_.write(inbox_.give_back(*recall, *runs_));
    outbox_.flush();
  } else if (const auto* join = std::get_if<wire::Join>(&record)) {
    inbox_.push({*join, nullptr});
  } else if (const auto* disband = std::get_if<wire::Disband>(&record)) {
    inbox_.push({*disband, nullptr});
  } else if (const auto* assemble = std::get_if<wire::Assemble>(&record)) {
    teams_.give_turn(assemble->team, assemble->turn);
  } else {
    throw DecodeError("a record that engines only send to rank 0");
  }
}

void Engine::on_batch(const wire::Batch& batch, const std::shared_ptr<InMessage>& message) {
  deliveries_.expect(batch, teams_.dead());
  // What others do with this engine is done to its end.
  if (end_.client_failed() && batch.team == 0) {
    done_with(batch, *message);
    return;
  }
  inbox_.push({batch, message});
  progress_thread_.wake();
}

// Another engine has died: what was on its way from there does not come.
void Engine::on_lost(const wire::Lost& lost) {
  const int id = static_cast<int>(lost.engine);
  teams_.lose(id);
  outbox_.endpoint().forget(id + 1);
  drop(deliveries_.forget(id));
}

void Engine::on_end(const wire::End& end) {
  end_.note(end, settings_.clock.now());
  if (!end_.client_failed()) return;
  runs_.want_stop();
  slot_runs_.stop_all();
  // What has not begun is dropped, but for what others would miss this engine in.
  for (const Inbox::Command& dropped : inbox_.take_batches()) done_with(std::get<wire::Batch>(dropped.what), *dropped.message);
}

}  // namespace rankview::engine
