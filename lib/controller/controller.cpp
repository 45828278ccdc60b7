// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include "controller/items.hpp"
#include "transport/mpi.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <variant>

namespace rankview::inline abi_0_1::detail {
namespace {

// What pulse_state_ says.
constexpr int parked = 0;
constexpr int awake = 1;
constexpr int quitting = 2;

constexpr bool same(Policy ours, scheduler::Policy theirs) { return static_cast<int>(ours) == static_cast<int>(theirs); }
static_assert(same(Policy::least_load, scheduler::Policy::least_load) && same(Policy::lru, scheduler::Policy::lru) &&
                  same(Policy::random, scheduler::Policy::random) && same(Policy::two_bin, scheduler::Policy::two_bin) &&
                  same(Policy::weighted, scheduler::Policy::weighted),
              "the flags' policies and the scheduler's are cast to each other");

// Whether there is anybody to run its items.
void check_placeable(const Call& call) {
  if (call.nobody || (!call.balanced && !call.same_arguments && call.engines.empty())) throw_nobody();
}

// Before anything of the call is in flight, since its code may be such that cannot be shipped.
void find_code(Call& call) {
  call.code = &shipped_code(call.function.thunk, call.function.code, reinterpret_cast<const void*>(call.terms->predicate));
}

// A number for each controller, which others have again after some ten thousand.
std::uint16_t new_run() {
  static std::atomic<std::uint16_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed);
}

// A number for each thread that submits calls.
std::uint64_t this_flow() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

Controller::Controller(transport::Endpoint& endpoint, const ControllerSettings& settings)
    : endpoint_(endpoint),
      settings_(settings),
      spin_(settings.idle),
      run_(new_run()),
      next_ticket_(std::uint64_t{run_} << 48U),
      outgoing_(settings.engines.size()),
      teams_(*settings.teams),
      accounts_(settings.engines.size()) {
  for (const EngineInfo& engine : settings_.engines) peers_.push_back(engine.peer);
  for (std::size_t id = 0; id < settings_.engines.size(); ++id) scheduler_.add_engine(static_cast<int>(id));
  if (settings_.pulse) pulse_ = std::thread([this] { pulse(); });
}

Controller::~Controller() {
  pulse_state_ = quitting;
  pulse_state_.notify_all();
  if (pulse_.joinable()) pulse_.join();
}

// ---- calls -------------------------------------------------------------------------------------------------------------------

void Controller::begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected) {
  check_placeable(*call);
  find_code(*call);
  call->submitted = now();
  call->items.reserve(expected.value_or(0));
  const std::lock_guard guard(lock_);
  add(call);
}

void Controller::extend(Call& call, ArgumentBlock&& block) {
  const std::lock_guard guard(lock_);
  add(call, std::move(block));
  // Whoever reads a long range also keeps the engines busy.
  if (may_drive()) progress();
}

void Controller::seal(Call& call, bool unattended) {
  {
    const std::lock_guard guard(lock_);
    call.kept = unattended;
    lay_out(call);
    // The run may have ended meanwhile.
    if (!call.in_flight && !call.kept) delist(call);
    if (open() && may_drive()) dispatch();
  }
  if (unattended) wake_pulse();
}

void Controller::submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended) {
  if (block.count != 0) check_placeable(*call);
  find_code(*call);
  call->submitted = now();
  {
    const std::lock_guard guard(lock_);
    add(call);
    call->kept = unattended;
    if (block.count != 0) add(*call, std::move(block));
    lay_out(*call);
    if (may_drive()) unattended ? attend(call->submitted) : dispatch();
  }
  if (unattended) wake_pulse();
}

void Controller::add(const std::shared_ptr<Call>& call) {
  if (!open() || closing_) throw UsageError("the run that this view belongs to has ended");
  Waiting waiting = look_up(*call);
  call->id = next_call_++;
  call->flow = this_flow();
  enlist(call);
  if (call->terms->queue_timeout != 0) timers_.add(call->submitted + call->terms->queue_timeout, call->id);
  if (waiting.waits()) wait_for(*call, std::move(waiting));
}

// Makes the call known by its number. It lives until it has ended.
void Controller::enlist(const std::shared_ptr<Call>& call) {
  call->slot = &calls_.add(call->id, *call);
  call->slot->run = run_;
  call->self = call;
  call->in_flight = true;
  ++in_flight_;
}

// Nobody will ask for the call any more. Gives itself.
std::shared_ptr<Call> Controller::delist(Call& call) {
  if (call.slot == nullptr) return nullptr;
  calls_.remove(call.id);
  call.slot = nullptr;
  return std::move(call.self);
}

// A call that has not ended, or null.
Call* Controller::find(std::uint64_t id) const {
  Call* const call = calls_.find(id);
  return call != nullptr && call->in_flight ? call : nullptr;
}

// The calls that have not ended, in the order in which they were made.
std::vector<std::shared_ptr<Call>> Controller::unfinished() const {
  std::vector<std::shared_ptr<Call>> calls;
  calls.reserve(in_flight_);
  calls_.for_each([&calls](Call& call) {
    if (call.in_flight) calls.push_back(call.self);
  });
  std::sort(calls.begin(), calls.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return calls;
}

void Controller::add(Call& call, ArgumentBlock&& block) {
  if (find(call.id) == nullptr) return;  // given up while it was being made
  block.first = call.items.size();
  block.unfinished = block.count;
  call.blocks.push_back(std::move(block));
  if (call.same_arguments) return;  // lay_out() knows for whom
  const ArgumentBlock& added = call.blocks.back();
  const std::uint64_t total = added.first + added.count;
  call.items.resize(total);
  call.grow(total);
  if (call.balanced && call.chunk_size == 1 && !call.waits) schedule(call, added.first, added.count, added);
}

// All items are there. Places those whose place depends on how many there are.
void Controller::lay_out(Call& call) {
  if (find(call.id) == nullptr) return;
  call.laid_out = true;
  const std::uint64_t engines = call.engines.size();
  if (call.same_arguments) {
    call.blocks.front().unfinished = engines;
    call.items.resize(engines);
    call.grow(engines);
  }
  if (call.root->kind == RootPart::Kind::none || engines == 0) call.sealed.store(true, std::memory_order_release);
  if (call.more->doomed) {
    give_up(call, Status::failed, [&call](const TaskId&) { return call.more->doomed; });
    return;
  }
  if (call.aborted) {
    withdraw(call, "aborted while it was submitted");
    return;
  }
  const bool placed_as_they_came = call.balanced && call.chunk_size == 1;
  if (!call.waits && !placed_as_they_came) place(call);
  decide();
  if (call.items.empty() && call.function.thunk != nullptr && call.function.thunk->finish != nullptr) complete(call);
  if (call.done()) end_call(call);
}

// Hands all items to the scheduler.
void Controller::place(Call& call) {
  const std::uint64_t count = call.items.size();
  const std::uint64_t engines = call.engines.size();
  if (count == 0) return;
  if (call.together) {
    schedule(call, 0, engines, call.blocks.front());
  } else if (call.same_arguments) {
    for (std::uint64_t i = 0; i < engines; ++i) schedule(call, i, 1, call.blocks.front());
  } else if (!call.balanced) {
    // Block parts: the first few get one item more.
    for (std::uint64_t i = 0, first = 0; i < engines && first < count; ++i) {
      const std::uint64_t part = count / engines + (i < count % engines ? 1 : 0);
      scheduler_.submit(work_for(call, first, part, call.blocks.front()), scheduler::Placement::bound(call.engines[i]));
      first += part;
    }
  } else if (call.chunk_size > 1) {
    schedule(call, 0, count, call.blocks.front());
  } else {
    for (const ArgumentBlock& block : call.blocks) schedule(call, block.first, block.count, block);
  }
}

scheduler::Work Controller::work_for(const Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) const {
  scheduler::Work work;
  work.call = call.id;
  work.kind = kind_of(call);
  work.first = first;
  work.count = count;
  work.chunks = (count + call.chunk_size - 1) / call.chunk_size;
  work.item_bytes = block.data.bytes.size() / block.count;
  work.alone = !block.data.attachments.empty();
  work.flow = call.flow;
  work.priority = call.terms->priority;
  work.hwm = call.terms->hwm;
  work.policy = static_cast<scheduler::Policy>(call.terms->policy);
  return work;
}

// Who may run what of a call that is not dealt out in blocks: all of it, or an item that is an engine's own.
scheduler::Placement Controller::placement(const Call& call, std::uint64_t item) {
  using scheduler::Placement;
  if (call.together) return Placement::together(call.engines);
  if (call.more->deferred.placed >= 0) return Placement::bound(call.more->deferred.placed);
  if (!call.balanced) return Placement::bound(call.engines[item]);
  if (!call.more->teams.empty()) return Placement::to(call.more->teams);
  if (!call.engines.empty()) return Placement::among(call.engines);
  return {};
}

void Controller::schedule(Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) {
  scheduler_.submit(work_for(call, first, count, block), placement(call, first));
}

void Controller::cancel(Call& call) {
  const std::lock_guard guard(lock_);
  call.error_seen = true;
  call.abandoned = true;
  call.sealed.store(true, std::memory_order_release);
  withdraw(call, "the range of its map threw");
  // The run may have ended before.
  if (!call.in_flight) delist(call);
}

void Controller::abort(Call& call) {
  const std::lock_guard guard(lock_);
  call.aborted = true;
  withdraw(call, "aborted while it waited");
  stop(call, 0, call.items.size());
  send_all();
}

void Controller::abort_if(const std::function<bool(const Call&)>& wanted) {
  const std::lock_guard guard(lock_);
  for (const auto& call : unfinished()) {
    if (!wanted(*call)) continue;
    call->error_seen = true;
    call->aborted = true;
    withdraw(*call, "aborted while it waited");
    stop(*call, 0, call->items.size());
  }
  send_all();
}

// Tells the engines which of items [begin, limit) that they were handed are not wanted any more.
void Controller::stop(Call& call, std::uint64_t begin, std::uint64_t limit) {
  const auto told = [&](int engine, std::uint64_t first, std::uint64_t count) {
    const auto team =
        std::find_if(call.more->teams.begin(), call.more->teams.end(), [engine](const auto& t) { return t.front() == engine; });
    if (team == call.more->teams.end()) {
      wire::write(outgoing(engine), wire::Stop{call.id, first, count});
    } else {
      for (const int member : *team) wire::write(outgoing(member), wire::Stop{call.id, first, count});
    }
  };
  // In ranges of neighbours that one engine has.
  for (std::uint64_t item = begin; item < limit;) {
    const ItemRecord& record = call.items[item];
    std::uint64_t end = item + 1;
    if (record.status == Status::handed_out && !call.local) {
      while (end < limit && call.items[end].status == Status::handed_out && call.items[end].engine == record.engine) ++end;
      told(record.engine, item, end - item);
    }
    item = end;
  }
}

void Controller::abort_all(const std::string& why) {
  const std::lock_guard guard(lock_);
  giving_up_ = true;
  for (const auto& call : unfinished()) {
    // That these are given up is told to the client as a whole.
    if (call->errors->empty()) call->error_seen = true;
    call->aborted = true;
    withdraw(*call, why);
    if (call->in_flight) stop(*call, 0, call->items.size());
  }
  send_all();
}

std::optional<std::uint64_t> Controller::resting() const {
  const std::lock_guard guard(lock_);
  return open() && idle() ? std::optional(next_call_) : std::nullopt;
}

void Controller::withdraw(Call& call, const std::string& why) {
  withdraw(call, Status::aborted,
           [&why](const TaskId& task) { return std::make_exception_ptr(TaskAborted("task " + to_string(task) + ": " + why)); });
}

// Ends what has not been handed out, whether it stands in a queue, waits for others or was never laid out.
void Controller::withdraw(Call& call, Status status, const std::function<std::exception_ptr(const TaskId&)>& error) {
  if (!call.in_flight) return;
  if (call.together || call.balanced) {
    scheduler_.withdraw(call.id, placement(call, 0));
  } else {
    for (const int engine : call.engines) scheduler_.withdraw(call.id, scheduler::Placement::bound(engine));
  }
  give_up(call, status, error);
}

// Ends what has not been handed out, and does not stand in a queue any more.
void Controller::give_up(Call& call, Status status, const std::function<std::exception_ptr(const TaskId&)>& error) {
  const std::shared_ptr<Call> alive = call.self;  // beyond the end of its last task
  // Rank 0 has no part in what nobody was handed.
  if (call.together && call.team == 0) call.sealed.store(true, std::memory_order_release);
  for (std::uint64_t item = 0; item < call.items.size(); ++item) {
    if (call.items[item].status != Status::waiting) continue;
    end_item(call, item, status, error({call.id, item}));
  }
  if (call.done()) end_call(call);
}

void Controller::abandon(Call& call) noexcept {
  std::shared_ptr<Call> alive;  // goes when the lock has
  // The last handle may be an argument or a dependency of a call that ends under the lock.
  std::unique_lock guard(lock_, std::defer_lock);
  if (!lock_.mine()) guard.lock();
  call.abandoned = true;
  if (!call.in_flight) alive = delist(call);
  const bool being_filled = call.team != 0 && !call.sealed;
  if (!landing(call) && !being_filled) call.discard();
  if (call.more) call.more.edit().published.clear();
  if (call.done()) report_unseen(call);
}

QueueStatus Controller::queue_status(const std::vector<int>& engines) const {
  const std::lock_guard guard(lock_);
  QueueStatus status;
  status.unassigned = scheduler_.waiting();
  calls_.for_each([&status](const Call& call) {
    if (call.in_flight && call.waits) status.dependent += call.items.size();
  });
  for (int id = 0; id < engine_count(); ++id) status.unassigned -= scheduler_.load(id).waiting;
  for (const int id : engines) {
    const scheduler::Load load = scheduler_.load(id);
    const Account& account = accounts_[static_cast<std::size_t>(id)];
    status.engines.push_back({id, load.waiting, load.handed_out, load.handed_out == 0 ? 0U : 1U, account.completed, account.failed,
                              static_cast<std::size_t>(account.memory.variables), static_cast<std::size_t>(account.memory.bytes)});
  }
  return status;
}

// ---- driving -----------------------------------------------------------------------------------------------------------------

bool Controller::may_drive() const { return settings_.any_thread_drives || transport::is_main_thread(); }

void Controller::try_progress() {
  if (!may_drive()) return;
  std::unique_lock guard(lock_, std::try_to_lock);
  if (!guard.owns_lock()) return;
  catch_up();
  while (!due_.empty() && running_here() == 0) run_next(guard);
}

// Who makes call after call and waits for none keeps things going, so that the pulse has nothing to do. Of calls that come in a burst a few
// are handed out together, unless somebody has nothing to do; the pulse sees to the last of them.
void Controller::attend(std::int64_t submitted) {
  constexpr std::int64_t burst = 10'000;  // nanoseconds between two calls
  constexpr unsigned together = 8;
  constexpr int most_rounds = 8;
  const bool in_burst = submitted - std::exchange(last_submission_, submitted) < burst;
  if (settings_.pulse && in_burst && !scheduler_.any_idle() && ++held_back_ < together) return;
  held_back_ = 0;
  dispatch();
  for (int round = 0; round < most_rounds && progress(); ++round) continue;
  // Continuations are for the pulse.
  if (due_.empty()) attended_.store(true, std::memory_order_relaxed);
}

bool Controller::progress() {
  if (!open()) return false;
  bool any = endpoint_.poll(*this);
  if (!landing_.empty()) any = land() || any;
  if (!teams_.idle()) {
    any = teams_.progress(endpoint_, peers_, [this](Call& call) { end_root_part(call); }) || any;
  }
  if (!timers_.empty()) check_timers();
  if (scheduler_.waiting() != 0) dispatch();
  if (scheduler_.unbalanced()) recall();
  if (!desertions_.empty()) check_desertions();
  return any;
}

// Takes what has arrived, but for a flood.
bool Controller::catch_up() {
  int rounds = 0;
  while (rounds < 1000 && progress()) ++rounds;
  return rounds > 0;
}

void Controller::wake_pulse() {
  if (!settings_.pulse) return;
  int expected = parked;
  if (pulse_state_.compare_exchange_strong(expected, awake)) pulse_state_.notify_one();
}

// Drives when nobody else does. Sleeps first, so that a client that waits for its result has the machine to itself; parks when there is
// nothing to wait for.
void Controller::pulse() {
  constexpr auto shortest = std::chrono::microseconds(50);
  constexpr auto attended = std::chrono::microseconds(200);
  constexpr auto longest = std::chrono::microseconds(1000);
  auto pause = shortest;
  int idle_rounds = 0;
  for (;;) {
    pulse_state_.wait(parked);
    if (pulse_state_.load() == quitting) return;
    std::this_thread::sleep_for(pause);
    if (drivers_.load(std::memory_order_relaxed) > 0) {
      pause = longest;
      continue;
    }
    if (attended_.exchange(false, std::memory_order_relaxed)) {
      pause = attended;
      continue;
    }
    std::unique_lock guard(lock_, std::try_to_lock);
    if (!guard.owns_lock()) continue;
    bool any = false;
    try {
      any = catch_up();
    } catch (const std::exception& error) {
      transport::end_process(1, std::string("the controller cannot go on: ") + wire::error_text(error));
    }
    while (!due_.empty()) {
      run_next(guard);
      any = true;
    }
    const bool nothing = idle();
    guard.unlock();
    pause = any ? shortest : std::min(longest, pause * 2);
    idle_rounds = nothing ? idle_rounds + 1 : 0;
    if (idle_rounds < 20) continue;
    idle_rounds = 0;
    int expected = awake;
    pulse_state_.compare_exchange_strong(expected, parked);
    // Something may have been submitted in between, when there was no need to wake.
    guard.lock();
    if (!idle()) wake_pulse();
  }
}

// ---- the end -----------------------------------------------------------------------------------------------------------------

void Controller::close(wire::Ending ending, int exit_code, const std::string& reason) {
  std::unique_lock guard(lock_);
  closing_ = true;
  wire::End end;
  end.ending = ending;
  end.exit_code = exit_code;
  end.reason = reason;
  for (int id = 0; id < engine_count(); ++id) {
    wire::write(outgoing(id), end);
    send(id);
  }
  guard.unlock();
  Deadline limit;
  // Engines enforce the grace period themselves where they have a pulse; they get a little longer to do so.
  if (ending == wire::Ending::failed) limit = std::chrono::steady_clock::now() + settings_.grace + std::chrono::seconds(1);
  const bool ended = drive(
      limit,
      [this] { return goodbyes_ == settings_.engines.size() && landing_.empty() && teams_.idle() && endpoint_.flushed() && !continuing(); },
      true);
  if (!ended) transport::end_process(exit_code, "the client failed, and not every engine stopped within the grace period: " + reason);
  guard.lock();
  open_.store(false, std::memory_order_release);
  // What engines were told to drop; other threads of the client may wait for it.
  for (const auto& unended : unfinished()) {
    Call& call = *unended;
    if (call.errors->empty()) call.error_seen = true;
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (!has_ended(call.items[item].status))
        end_item(call, item, Status::aborted,
                 std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) + ": the run ended")));
    }
    call.sealed.store(true, std::memory_order_release);
    if (call.more) call.more.edit().object_holders.clear();
    end_call(call);
  }
  // Nobody runs these any more.
  const auto dropped = std::exchange(due_, {});
  guard.unlock();
}

bool Controller::reachable() {
  for (int i = 0; i < 1000; ++i) {
    if (lock_.try_lock()) {
      lock_.unlock();
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace rankview::detail
