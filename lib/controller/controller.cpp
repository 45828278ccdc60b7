// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include "controller/items.hpp"
#include "transport/process.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/errors.hpp>

#include <atomic>
#include <utility>

// What clients ask of the controller. What follows from it is in round.cpp, what engines say in inbound.cpp.
namespace rankview::inline abi_0_1::detail {
namespace {

// Whether there is anybody to run its items.
void check_placeable(const Call& call) {
  if (call.nobody || (!call.balanced && !call.same_arguments && call.engines.empty())) throw_nobody();
}

// Before anything of the call is in flight, since its code may be such that cannot be shipped.
void find_code(Call& call) {
  call.code = &shipped_code(call.function.thunk, call.function.code, reinterpret_cast<const void*>(call.terms->predicate));
}

// A number for each thread that submits calls.
std::uint64_t this_submitter() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

controller::ItemLedger::MakeError aborted(std::string why) {
  return
      [why = std::move(why)](const TaskId& task) { return std::make_exception_ptr(TaskAborted("task " + to_string(task) + ": " + why)); };
}

}  // namespace

Controller::Controller(transport::Endpoint& endpoint, const ControllerSettings& settings)
    : endpoint_(endpoint),
      settings_(settings),
      engines_(endpoint, settings.engines),
      gate_(*this, calls_),
      ledger_(engines_, gate_),
      queue_(engines_.count()),
      teams_(*settings.teams),
      dispatcher_(calls_, queue_, engines_, ledger_, teams_, settings.forwarding),
      retries_(run_),
      transfers_(endpoint, settings_.clock, ledger_),
      stuck_teams_(calls_, settings.team_grace),
      driver_(*this, continuations_, settings.driver) {}

// ---- from the submission -----------------------------------------------------------------------------------------------------

void Controller::begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected) {
  check_placeable(*call);
  find_code(*call);
  call->submitted = now();
  call->items.reserve(expected.value_or(0));
  const std::lock_guard guard(driver_.lock());
  add(call);
}

void Controller::extend(Call& call, ArgumentBlock&& block) {
  const std::lock_guard guard(driver_.lock());
  add(call, std::move(block));
  // Whoever reads a long range also keeps the engines busy.
  if (driver_.may_drive()) round();
}

void Controller::seal(Call& call, bool unattended) {
  {
    const std::lock_guard guard(driver_.lock());
    call.kept = unattended;
    lay_out(call);
    advance();
    // The run may have ended meanwhile.
    if (!call.in_flight && !call.kept) calls_.drop(call);
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended) {
  if (block.count != 0) check_placeable(*call);
  find_code(*call);
  call->submitted = now();
  {
    const std::lock_guard guard(driver_.lock());
    add(call);
    call->kept = unattended;
    if (block.count != 0) add(*call, std::move(block));
    lay_out(*call);
    unattended&& driver_.may_drive() ? attend(call->submitted) : advance();
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::add(const std::shared_ptr<Call>& call) {
  if (!run_.open()) throw UsageError("the run that this view belongs to has ended");
  auto waiting = gate_.look_up(*call);
  call->flow = this_submitter();
  calls_.enlist(call);
  if (call->terms->queue_timeout != 0) timers_.add(call->submitted + call->terms->queue_timeout, call->id);
  if (waiting.waits()) gate_.hold(*call, std::move(waiting));
}

void Controller::add(Call& call, ArgumentBlock&& block) {
  if (calls_.find(call.id) == nullptr) return;  // given up while it was being made
  block.first = call.items.size();
  block.unfinished = block.count;
  call.blocks.push_back(std::move(block));
  if (call.same_arguments) return;  // lay_out() knows for whom
  const ArgumentBlock& added = call.blocks.back();
  const std::uint64_t total = added.first + added.count;
  call.items.resize(total);
  call.grow(total);
  if (controller::enqueued_as_they_come(call) && !call.waits) queue_.enqueue(call, added);
}

// All items are there. Those whose place depends on how many there are get it.
void Controller::lay_out(Call& call) {
  if (calls_.find(call.id) == nullptr) return;
  call.laid_out = true;
  const std::uint64_t engines = call.engines.size();
  if (call.same_arguments) {
    call.blocks.front().unfinished = engines;
    call.items.resize(engines);
    call.grow(engines);
  }
  if (call.root->kind == RootPart::Kind::none || engines == 0) ledger_.seal(call);
  if (call.more->doomed) {
    ledger_.give_up(call, Status::failed, [&call](const TaskId&) { return call.more->doomed; });
  } else if (call.aborted) {
    withdraw(call, "aborted while it was submitted");
  } else if (!call.waits && !controller::enqueued_as_they_come(call)) {
    queue_.enqueue(call);
  }
}

// ---- giving up ---------------------------------------------------------------------------------------------------------------

void Controller::cancel(Call& call) {
  const std::lock_guard guard(driver_.lock());
  call.error_seen = true;
  call.abandoned = true;
  ledger_.seal(call);
  withdraw(call, "the range of its map threw");
  advance();
  // The run may have ended before.
  if (!call.in_flight) calls_.drop(call);
}

void Controller::abort(Call& call) {
  const std::lock_guard guard(driver_.lock());
  call.aborted = true;
  withdraw(call, "aborted while it waited");
  dispatcher_.stop(call, 0, call.items.size());
  advance();
}

void Controller::abort(Call& call, std::uint64_t item) {
  std::unique_lock guard(driver_.lock());
  if (item >= call.items.size() || has_ended(call.items[item].status)) return;
  if (call.items.size() == 1 || call.together || call.local) {
    guard.unlock();
    abort(call);
    return;
  }
  if (call.items[item].status == Status::waiting) {
    withdraw_waiting(call, item);
  } else {
    call.more.edit().given_up.insert(item);
    dispatcher_.stop(call, item, item + 1);
  }
  advance();
}

void Controller::abort_if(const std::function<bool(const Call&)>& wanted) {
  const std::lock_guard guard(driver_.lock());
  for (const auto& call : calls_.unfinished()) {
    if (!wanted(*call)) continue;
    call->error_seen = true;
    call->aborted = true;
    withdraw(*call, "aborted while it waited");
    dispatcher_.stop(*call, 0, call->items.size());
  }
  advance();
}

void Controller::abort_all(const std::string& why) {
  const std::lock_guard guard(driver_.lock());
  continuations_.stop();
  for (const auto& call : calls_.unfinished()) {
    // That these are given up is told to the client as a whole.
    if (call->errors->empty()) call->error_seen = true;
    call->aborted = true;
    withdraw(*call, why);
    dispatcher_.stop(*call, 0, call->items.size());
  }
  advance();
}

void Controller::withdraw(Call& call, const std::string& why) { withdraw(call, Status::aborted, aborted(why)); }

// Ends what has not been handed out, whether it stands in a queue, waits for others or was never laid out.
void Controller::withdraw(Call& call, Status status, const MakeError& error) {
  if (!call.in_flight) return;
  queue_.withdraw(call);
  ledger_.give_up(call, status, error);
}

// The same for one item that has not been handed out.
void Controller::withdraw_waiting(Call& call, std::uint64_t item) {
  if (call.items[item].status != Status::waiting) return;
  queue_.withdraw(call, item);
  ledger_.ended(call, item, Status::aborted, aborted("aborted while it waited")({call.id, item}));
}

void Controller::abandon(Call& call) noexcept {
  std::shared_ptr<Call> alive;  // goes when the lock has
  // The last handle may be an argument or a dependency of a call that ends under the lock.
  std::unique_lock guard(driver_.lock(), std::defer_lock);
  if (!driver_.lock().mine()) guard.lock();
  call.abandoned = true;
  if (!call.in_flight) alive = calls_.drop(call);
  const bool being_filled = call.team != 0 && !call.sealed;
  if (!transfers_.writing(call) && !being_filled) call.discard();
  if (call.more) call.more.edit().published.clear();
  if (call.done()) report_unseen(call);
}

// ---- what is known -----------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> Controller::resting() const {
  return locked([this] { return open() && idle() ? std::optional(calls_.next_number()) : std::nullopt; });
}

QueueStatus Controller::queue_status(const std::vector<int>& engines) const {
  const std::lock_guard guard(driver_.lock());
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  QueueStatus status;
  status.unassigned = scheduler.waiting();
  calls_.for_each([&status](const Call& call) {
    if (call.waits) status.dependent += call.items.size();
  });
  for (int id = 0; id < engine_count(); ++id) status.unassigned -= scheduler.load(id).waiting;
  for (const int id : engines) {
    const scheduler::Load load = scheduler.load(id);
    const controller::Account& account = engines_.account(id);
    status.engines.push_back({id, load.waiting, load.handed_out, load.handed_out == 0 ? 0U : 1U, account.completed, account.failed,
                              static_cast<std::size_t>(account.memory.variables), static_cast<std::size_t>(account.memory.bytes)});
  }
  return status;
}

std::shared_ptr<Call> Controller::named(const Prerequisite& tasks) const {
  // Whoever names a result keeps it.
  if (tasks.call) return {std::shared_ptr<Call>(), &*tasks.call};
  const std::lock_guard guard(driver_.lock());
  const TaskId& task = tasks.task;
  if (task.item == Prerequisite::every) throw UsageError("an AsyncResult is empty: it was default-constructed or moved from");
  if (task.call == 0 || task.call >= calls_.next_number()) throw UsageError("task " + to_string(task) + " was never submitted in this run");
  Call* const call = calls_.known(task.call);
  if (call == nullptr) return nullptr;
  if (call->laid_out && task.item >= call->items.size())
    throw UsageError("there is no task " + to_string(task) + ": that call has " + std::to_string(call->items.size()));
  return call->self;
}

// ---- the end of the run ------------------------------------------------------------------------------------------------------

void Controller::close(wire::Ending ending, int exit_code, const std::string& reason) {
  std::unique_lock guard(driver_.lock());
  run_.begin_closing();
  wire::End end;
  end.ending = ending;
  end.exit_code = exit_code;
  end.reason = reason;
  for (int id = 0; id < engine_count(); ++id) {
    wire::write(engines_.to(id), end);
    engines_.send(id);
  }
  guard.unlock();
  Deadline limit;
  // Engines enforce the grace period themselves where they have a progress thread; they get a little longer to do so.
  if (ending == wire::Ending::failed) limit = std::chrono::steady_clock::now() + settings_.grace + std::chrono::seconds(1);
  const bool ended = drive(
      limit, [this] { return engines_.all_left() && transfers_.empty() && teams_.idle() && endpoint_.flushed() && !continuations_.busy(); },
      true);
  if (!ended) transport::end_process(exit_code, "the client failed, and not every engine stopped within the grace period: " + reason);
  guard.lock();
  run_.close();
  // What engines were told to drop; other threads of the client may wait for it.
  for (const auto& unended : calls_.unfinished()) {
    Call& call = *unended;
    if (call.errors->empty()) call.error_seen = true;
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (!has_ended(call.items[item].status)) ledger_.ended(call, item, Status::aborted, aborted("the run ended")({call.id, item}));
    }
    ledger_.seal(call);
  }
  carry_out();
  // Nobody runs these any more.
  const auto dropped = continuations_.drop();
  guard.unlock();
}

}  // namespace rankview::detail
