// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "transport/process.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <atomic>
#include <utility>

// What clients ask of the controller. What follows from it is in round.cpp, what engines say in inbound.cpp, how it
// is called off in giving_up.cpp.
namespace rankview::inline abi_0_1::detail {
namespace {

// Whether there is anybody to run its items.
void check_placeable(const Call& call, const controller::Engines& engines) {
  if (call.nobody || (!in_pool(call) && !call.same_arguments && call.engines.empty())) throw_nobody();
  const std::uint16_t wanted = call.life().terms->slots;
  if (wanted == 1 || call.life().terms->isolation == Isolation::none) return;
  std::uint16_t most = 0;
  std::uint16_t least = wanted;
  const auto count = [&](int id) {
    most = std::max(most, engines[id].slots);
    least = std::min(least, engines[id].slots);
  };
  for (const int id : call.engines) count(id);
  if (call.engines.empty()) {
    for (int id = 0; id < engines.count(); ++id) count(id);
  }
  // In a pool one that is large enough will do.
  const std::uint16_t there = in_pool(call) ? most : least;
  if (there < wanted)
    throw UsageError("a task takes " + std::to_string(wanted) + " slots, and " +
                     (in_pool(call) ? "no engine that it may go to has more than " : "an engine that it is to run on has ") +
                     std::to_string(there) + "; engines get them by Options::slots or RANKVIEW_SLOTS");
}

// Before anything of the call is in flight, since its code may be such that cannot be shipped.
void find_code(Call& call) {
  call.life().code = &shipped_code(call.function.thunk, call.function.code, reinterpret_cast<const void*>(call.life().terms->predicate));
}

// A number for each thread that submits calls.
std::uint64_t this_submitter() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

Controller::Controller(transport::Endpoint& endpoint, const ControllerSettings& settings)
    : settings_(settings),
      engines_(endpoint, settings.engines),
      gate_(this, calls_),
      ledger_(engines_, gate_, work_, settings.recorder),
      queue_(engines_),
      teams_(*settings.teams),
      dispatcher_(calls_, queue_, engines_, ledger_, work_, teams_, settings.forwarding),
      retries_(run_),
      keeper_(ledger_, work_, {*settings.disk, settings.driver.clock, settings.lease, [this] { attend_to_shares(); }}, settings.recorder),
      shares_(calls_),
      transfers_(endpoint, settings_.driver.clock, ledger_, work_, keeper_),
      stuck_teams_(calls_, settings.team_grace),
      driver_(*this, work_, settings.driver) {
  if (settings_.recorder != nullptr) settings_.recorder->run_begins(settings_.engines);
  if (settings_.signs != nullptr) settings_.signs->listen([this] { driver_.wake_progress_thread(); });
}

// ---- from the submission -----------------------------------------------------------------------------------------------------

void Controller::begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected) {
  check_placeable(*call, engines_);
  find_code(*call);
  call->life().submitted = now();
  call->life().items.reserve(expected.value_or(0));
  const auto visit = driver_.visit();
  add(call);
}

void Controller::extend(Call& call, ArgumentBlock&& block, std::span<const checkpoint::Key> keys, bool drives) {
  const auto visit = driver_.visit();
  if (!keys.empty()) note_keys(call, keys);
  add(call, std::move(block));
  // Whoever reads a long range also keeps the engines busy.
  if (drives && driver_.may_drive()) round();
}

void Controller::share(const std::shared_ptr<checkpoint::Checkpoint>& checkpoint) {
  locked([this, &checkpoint] { shares_.add(checkpoint); });
}

void Controller::note_keys(Call& call, std::span<const checkpoint::Key> keys) {
  auto& known = call.life().more.edit().checkpointed.edit().keys;
  known.insert(known.end(), keys.begin(), keys.end());
}

// Rank 0 has what it takes to end them.
void Controller::recall(Call& call, Recalled&& found, bool drives) {
  const auto visit = driver_.visit();
  if (calls_.find(call.id) == nullptr) return;  // given up while it was being made
  std::vector<checkpoint::Key> keys;
  for (const Recalled::Part& part : found.parts) keys.push_back(part.key);
  note_keys(call, keys);
  ArgumentBlock block;
  block.count = keys.size();
  block.first = call.life().items.size();
  block.unfinished = block.count;
  const std::uint64_t first = block.first;
  const std::uint64_t total = first + block.count;
  call.life().blocks.push_back(std::move(block));
  call.life().items.resize(total);
  if (call.plain) call.grow(total, call.life().items.capacity());
  ledger_.granted(call, first, total, -1);
  keeper_.recall(call, first, std::move(found));
  if (drives && driver_.may_drive()) round();
}

void Controller::seal(Call& call, bool unattended) {
  // Results that are there before all items are known make room as they come; from here on the room stays where it is.
  if (!call.plain && call.multiple) make_room(call);
  {
    const auto visit = driver_.visit();
    call.life().has_handles = unattended;
    lay_out(call);
    advance();
    // The run may have ended meanwhile.
    if (!call.life().in_flight && !call.life().has_handles) work_.leave(calls_.drop(call));
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended) {
  if (block.count != 0) check_placeable(*call, engines_);
  find_code(*call);
  call->life().submitted = now();
  if (!call->plain) {
    const std::uint64_t count = call->same_arguments ? call->engines.size() : block.count;
    call->grow(count, count);
  }
  {
    const auto visit = driver_.visit();
    add(call);
    call->life().has_handles = unattended;
    if (block.count != 0) add(*call, std::move(block));
    lay_out(*call);
    unattended&& driver_.may_drive() ? attend(call->life().submitted) : advance();
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::add(const std::shared_ptr<Call>& call) {
  if (!run_.open()) throw UsageError("the run that this view belongs to has ended");
  auto waiting = gate_.look_up(*call);
  call->life().submitter = this_submitter();
  if (settings_.keeps_all && can_be_kept(*call) && !call->life().subtask) call->life().saves = true;
  calls_.enlist(call);
  if (call->life().terms->queue_timeout != 0) queue_.timers().add(call->life().submitted + call->life().terms->queue_timeout, call->id);
  if (waiting.waits()) gate_.hold(*call, std::move(waiting));
}

void Controller::add(Call& call, ArgumentBlock&& block) {
  if (calls_.find(call.id) == nullptr) return;  // given up while it was being made
  block.first = call.life().items.size();
  block.unfinished = block.count;
  call.life().blocks.push_back(std::move(block));
  if (call.same_arguments) return;  // lay_out() knows for whom
  const ArgumentBlock& added = call.life().blocks.back();
  const std::uint64_t total = added.first + added.count;
  call.life().items.resize(total);
  if (call.plain) call.grow(total, call.life().items.capacity());
  if (gives_back(call)) {
    give_back(call, total - added.count, total);
  } else if (controller::enqueued_as_they_come(call) && !call.life().waits) {
    if (call.life().checkpointed && shares_.splits(call)) {
      enqueue_ours(call, added.first, total);
    } else {
      enqueue(call, &added);
    }
  }
}

// Has room made for the results of all items, by whoever drives, behind the reading of those that have come.
void Controller::make_room(Call& call) {
  class MakingRoom final : public controller::UserWork::Piece {
   public:
    explicit MakingRoom(Call& full) : Piece(full.life().self), count_(full.life().items.size()) {}
    void run() noexcept override {
      try {
        call().grow(count_, count_);
      } catch (...) {
        error_ = with_text(caught());
      }
    }
    void finish() override {
      if (error_.error != nullptr) call().life().failure = keep(call(), std::move(error_));
    }

   private:
    std::uint64_t count_;
    ToldError error_;
  };
  {
    const auto visit = driver_.visit();
    if (!call.life().in_flight) return;
    work_.add(std::make_unique<MakingRoom>(call));
  }
  drive({}, [this, &call] { return !work_.busy(call); });
}

// All items are there. Those whose place depends on how many there are get it.
void Controller::lay_out(Call& call) {
  if (calls_.find(call.id) == nullptr) return;
  call.life().laid_out = true;
  const std::uint64_t engines = call.engines.size();
  if (call.same_arguments) {
    call.life().blocks.front().unfinished = engines;
    call.life().items.resize(engines);
    if (call.plain) call.grow(engines, engines);
  }
  if (settings_.recorder != nullptr) settings_.recorder->submitted(call);
  if (call.root->kind == RootPart::Kind::none || engines == 0) ledger_.seal(call);
  if (call.life().more->doomed) {
    ledger_.give_up(call, Status::failed, [&call](const TaskId&) { return call.life().more->doomed; });
  } else if (call.life().aborted) {
    withdraw(call, "aborted while it was submitted");
  } else if (gives_back(call)) {
    give_back(call);
  } else if (!call.life().waits && !controller::enqueued_as_they_come(call)) {
    // Some may have been found, or have waited for too long.
    call.life().checkpointed || call.life().ended != 0 ? enqueue_rest(call) : enqueue(call, nullptr);
  }
}

// All items of the call, or those of a block. What somebody can begin at once need not wait in a queue.
void Controller::enqueue(Call& call, const ArgumentBlock* block) {
  controller::Grants granted;
  controller::Grants* const at_once = run_.connected() && driver_.may_drive() ? &granted : nullptr;
  block == nullptr ? queue_.enqueue(call, at_once) : queue_.enqueue(call, *block, at_once);
  for (const scheduler::Grant& grant : granted) dispatcher_.grant(grant);
}

// ---- what is known -----------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> Controller::resting() const {
  return locked([this] { return open() && idle() ? std::optional(calls_.next_number()) : std::nullopt; });
}

std::uint64_t Controller::completed() const {
  return locked([this] {
    std::uint64_t all = 0;
    for (int id = 0; id < engines_.count(); ++id) all += engines_.account(id).completed;
    return all;
  });
}

QueueStatus Controller::queue_status(const std::vector<int>& engines) const {
  const auto visit = driver_.visit();
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  QueueStatus status;
  status.unassigned = scheduler.waiting();
  calls_.for_each([&status](const Call& call) {
    if (call.life().waits) status.dependent += call.life().items.size();
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

std::vector<int> Controller::live_engines() const {
  return locked([this] { return engines_.live(); });
}

std::vector<LostEngine> Controller::lost() const {
  return locked([this] { return engines_.losses().list(); });
}

bool Controller::lost(int engine) const {
  return engines_.losses().any() && locked([this, engine] { return engines_.lost(engine); });
}

std::exception_ptr Controller::lost_error(int engine) const {
  return locked([this, engine] { return engines_.losses().error(engine, {}, ""); });
}

void Controller::on_lost(std::function<void(const LostEngine&)> f) {
  auto listener = std::make_shared<const std::function<void(const LostEngine&)>>(std::move(f));
  const auto visit = driver_.visit();
  engines_.losses().on_lost(std::move(listener));
}

controller::TaskArchive& Controller::archive() {
  if (settings_.archive == nullptr) throw UsageError("there is no hub: name its file by Options::hub or RANKVIEW_HUB");
  const auto visit = driver_.visit();
  ledger_.flush_records();
  return *settings_.archive;
}

std::shared_ptr<Call> Controller::named(const Prerequisite& tasks) const {
  // Whoever names a result keeps it.
  if (tasks.call) return {std::shared_ptr<Call>(), &*tasks.call};
  const auto visit = driver_.visit();
  const TaskId& task = tasks.task;
  if (task.item == Prerequisite::every) throw UsageError("an AsyncResult is empty: it was default-constructed or moved from");
  if (task.call == 0 || task.call >= calls_.next_number()) throw UsageError("task " + to_string(task) + " was never submitted in this run");
  Call* const call = calls_.known(task.call);
  if (call == nullptr) return nullptr;
  if (call->life().laid_out && task.item >= call->life().items.size())
    throw UsageError("there is no task " + to_string(task) + ": that call has " + std::to_string(call->life().items.size()));
  return call->life().self;
}

// ---- the end of the run ------------------------------------------------------------------------------------------------------

void Controller::close(wire::Ending ending, int exit_code, const std::string& reason) {
  auto visit = driver_.visit();
  run_.begin_closing();
  for (const LostEngine& lost : engines_.losses().list()) {
    liveness::Sign sign;
    sign.seen = lost.seen;
    if (lost.aside) give_up(lost.engine, sign);
  }
  if (settings_.recorder != nullptr) settings_.recorder->run_ends(ending == wire::Ending::failed, reason);
  wire::End end;
  end.ending = ending;
  end.exit_code = exit_code;
  end.reason = reason;
  end.losses = engines_.losses().deaths();
  for (int id = 0; id < engine_count(); ++id) {
    wire::write(engines_.to(id), end);
    engines_.send(id);
  }
  visit.unlock();
  Deadline limit;
  // Engines enforce the grace period themselves where they have a progress thread; they get a little longer to do so.
  if (ending == wire::Ending::failed) limit = settings_.driver.clock.steady_now() + settings_.grace + std::chrono::seconds(1);
  const bool ended = drive(
      limit,
      [this] {
        return engines_.all_left() && transfers_.empty() && keeper_.empty() && !work_.busy() && teams_.idle() &&
               engines_.endpoint().flushed() && !work_.continuations().busy();
      },
      true);
  if (!ended) transport::end_process(exit_code, "the client failed, and not every engine stopped within the grace period: " + reason);
  visit.lock();
  run_.close();
  if (settings_.signs != nullptr) settings_.signs->listen_no_more();
  // What engines were told to drop; other threads of the client may wait for it.
  for (const auto& unended : calls_.unfinished()) {
    Call& call = *unended;
    if (call.life().errors->empty()) call.life().error_seen = true;
    for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
      if (!has_ended(call.life().items[item].status))
        ledger_.ended(call, item, Status::aborted, task_aborted({call.id, item}, "the run ended"));
    }
    ledger_.seal(call);
  }
  carry_out();
  // Nobody runs these any more.
  const auto dropped = work_.continuations().drop();
  visit.unlock();
  driver_.stop_progress_thread();
  keeper_.checkpoints().flush();
  keeper_.checkpoints().leave();
}

}  // namespace rankview::detail
