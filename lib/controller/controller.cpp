// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"

#include "transport/mpi.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <variant>

namespace rankview::detail {
namespace {

// What pulse_state_ says.
constexpr int parked = 0;
constexpr int awake = 1;
constexpr int quitting = 2;

bool has_ended(Status status) { return status != Status::waiting && status != Status::handed_out; }

// Calls of one kind take about equally long: those of the same code.
std::uint64_t kind_of(const Call& call) {
  return reinterpret_cast<std::uintptr_t>(call.function.thunk) * 31 + reinterpret_cast<std::uintptr_t>(call.function.code);
}

// Whether there is anybody to run its items.
void check_placeable(const Call& call) {
  if (!call.balanced && !call.same_arguments && call.engines.empty())
    throw UsageError("a map over items on a view of no engines: there is nobody to run them");
}

// The block that holds the arguments of an item.
auto block_of(Call& call, std::uint64_t item) {
  if (call.same_arguments) return call.blocks.begin();
  const auto behind = std::upper_bound(call.blocks.begin(), call.blocks.end(), item,
                                       [](std::uint64_t i, const ArgumentBlock& block) { return i < block.first; });
  return std::prev(behind);
}

}  // namespace

Controller::Controller(transport::Endpoint& endpoint, const ControllerSettings& settings)
    : endpoint_(endpoint),
      settings_(settings),
      spin_(settings.idle),
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
    lay_out(call);
  }
  if (unattended) wake_pulse();
}

void Controller::submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended) {
  if (block.count != 0) check_placeable(*call);
  call->submitted = now();
  {
    const std::lock_guard guard(lock_);
    add(call);
    if (block.count != 0) add(*call, std::move(block));
    lay_out(*call);
  }
  if (unattended) wake_pulse();
}

void Controller::add(const std::shared_ptr<Call>& call) {
  if (!open()) throw UsageError("the run that this view belongs to has ended");
  call->id = next_call_++;
  calls_.emplace(call->id, call);
  last_call_ = call.get();
}

Call* Controller::find(std::uint64_t id) {
  if (last_call_ == nullptr || last_call_->id != id) {
    const auto found = calls_.find(id);
    last_call_ = found == calls_.end() ? nullptr : found->second.get();
  }
  return last_call_;
}

void Controller::add(Call& call, ArgumentBlock&& block) {
  block.first = call.items.size();
  block.unfinished = block.count;
  call.blocks.push_back(std::move(block));
  if (call.same_arguments) return;  // lay_out() knows for whom
  const ArgumentBlock& added = call.blocks.back();
  const std::uint64_t total = added.first + added.count;
  call.items.resize(total);
  call.grow(total);
  if (call.balanced && call.chunk_size == 1) schedule(call, added.first, added.count, added);
}

// All items are there. Places those whose place depends on how many there are.
void Controller::lay_out(Call& call) {
  const std::uint64_t engines = call.engines.size();
  if (call.same_arguments) {
    call.blocks.front().unfinished = engines;
    call.items.resize(engines);
    call.grow(engines);
    if (call.together && engines != 0) {
      scheduler_.submit_together(work_for(call, 0, engines, call.blocks.front()), call.engines);
    } else {
      for (std::uint64_t i = 0; i < engines; ++i) schedule(call, i, 1, call.blocks.front());
    }
  } else if (call.together) {
    if (engines != 0) scheduler_.submit_together(work_for(call, 0, engines, call.blocks.front()), call.engines);
  } else if (!call.balanced) {
    // Block parts: the first few get one item more.
    const std::uint64_t count = call.items.size();
    for (std::uint64_t i = 0, first = 0; i < engines && first < count; ++i) {
      const std::uint64_t part = count / engines + (i < count % engines ? 1 : 0);
      scheduler_.submit_bound(work_for(call, first, part, call.blocks.front()), call.engines[i]);
      first += part;
    }
  } else if (call.chunk_size > 1 && !call.items.empty()) {
    schedule(call, 0, call.items.size(), call.blocks.front());
  }
  if (call.root.kind == RootPart::Kind::none || engines == 0) call.sealed.store(true, std::memory_order_release);
  if (call.done()) {
    end_call(call);
  } else if (may_drive()) {
    dispatch();
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
  return work;
}

void Controller::schedule(Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) {
  const scheduler::Work work = work_for(call, first, count, block);
  if (!call.balanced) {
    scheduler_.submit_bound(work, call.engines[first]);
  } else if (!call.teams.empty()) {
    scheduler_.submit_to_teams(work, call.teams);
  } else if (call.engines.empty()) {
    scheduler_.submit(work);
  } else {
    scheduler_.submit(work, call.engines);
  }
}

void Controller::cancel(Call& call) {
  const std::lock_guard guard(lock_);
  call.error_seen = true;
  call.abandoned = true;
  call.sealed.store(true, std::memory_order_release);
  withdraw(call, "the range of its map threw");
}

void Controller::abort(Call& call) {
  const std::lock_guard guard(lock_);
  withdraw(call, "aborted while it waited");
}

void Controller::abort_all(const std::string& why) {
  const std::lock_guard guard(lock_);
  std::vector<std::shared_ptr<Call>> calls;
  for (const auto& [id, call] : calls_) calls.push_back(call);
  for (const auto& call : calls) {
    // That these are given up is told to the client as a whole.
    if (call->errors.empty()) call->error_seen = true;
    withdraw(*call, why);
  }
}

// Ends what has not been handed out, whether it stands in a queue or was never laid out.
void Controller::withdraw(Call& call, const std::string& why) {
  const auto kept = calls_.find(call.id);
  if (kept == calls_.end()) return;
  const std::shared_ptr<Call> alive = kept->second;  // beyond the end of its last task
  scheduler_.withdraw(call.id);
  // Rank 0 has no part in what nobody was handed.
  if (call.together && call.team == 0) call.sealed.store(true, std::memory_order_release);
  for (std::uint64_t item = 0; item < call.items.size(); ++item) {
    if (call.items[item].status != Status::waiting) continue;
    end_item(call, item, Status::aborted, std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) + ": " + why)));
  }
  if (call.done()) end_call(call);
}

void Controller::abandon(Call& call) noexcept {
  const std::lock_guard guard(lock_);
  call.abandoned = true;
  const bool being_filled = call.team != 0 && !call.sealed;
  if (!landing(call) && !being_filled) call.discard();
  if (call.done()) report_unseen(call);
}

QueueStatus Controller::queue_status(const std::vector<int>& engines) const {
  const std::lock_guard guard(lock_);
  QueueStatus status;
  status.unassigned = scheduler_.waiting();
  for (int id = 0; id < engine_count(); ++id) status.unassigned -= scheduler_.load(id).waiting;
  for (const int id : engines) {
    const scheduler::Load load = scheduler_.load(id);
    const Account& account = accounts_[static_cast<std::size_t>(id)];
    status.engines.push_back({id, load.waiting, load.handed_out, account.completed, account.failed,
                              static_cast<std::size_t>(account.memory.variables), static_cast<std::size_t>(account.memory.bytes)});
  }
  return status;
}

// ---- driving -----------------------------------------------------------------------------------------------------------------

bool Controller::may_drive() const { return settings_.any_thread_drives || transport::is_main_thread(); }

void Controller::try_progress() {
  if (!may_drive()) return;
  if (const std::unique_lock guard(lock_, std::try_to_lock); guard.owns_lock()) catch_up();
}

bool Controller::progress() {
  if (!open()) return false;
  bool any = endpoint_.poll(*this);
  if (!landing_.empty()) any = land() || any;
  if (!teams_.idle()) {
    any = teams_.progress(endpoint_, peers_, [this](Call& call) { end_root_part(call); }) || any;
  }
  if (scheduler_.waiting() != 0) dispatch();
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
    std::unique_lock guard(lock_, std::try_to_lock);
    if (!guard.owns_lock()) continue;
    bool any = false;
    try {
      any = catch_up();
    } catch (const std::exception& error) {
      transport::end_process(1, std::string("the controller cannot go on: ") + error.what());
    }
    const bool nothing = calls_.empty();
    guard.unlock();
    pause = any ? shortest : std::min(longest, pause * 2);
    idle_rounds = nothing ? idle_rounds + 1 : 0;
    if (idle_rounds < 20) continue;
    idle_rounds = 0;
    int expected = awake;
    pulse_state_.compare_exchange_strong(expected, parked);
    // Something may have been submitted in between, when there was no need to wake.
    guard.lock();
    if (!calls_.empty()) wake_pulse();
  }
}

// ---- to the engines ----------------------------------------------------------------------------------------------------------

void Controller::dispatch() {
  scheduler::Grant next;
  while (scheduler_.next(next)) grant(next);
  send_all();
}

transport::Message& Controller::outgoing(int engine) {
  auto& message = outgoing_[static_cast<std::size_t>(engine)];
  if (!message) {
    message = endpoint_.message();
    to_send_.push_back(engine);
  }
  return *message;
}

void Controller::send(int engine) {
  auto& message = outgoing_[static_cast<std::size_t>(engine)];
  if (!message) return;
  endpoint_.send(settings_.engines[static_cast<std::size_t>(engine)].peer, std::move(*message));
  message.reset();
  std::erase(to_send_, engine);
}

void Controller::send_all() {
  while (!to_send_.empty()) send(to_send_.back());
}

// The call's team, with what rank 0 does in it.
void Controller::enter_team(Call& call) {
  call.team = teams_.enter(call.engines, [this](int engine) -> transport::Message& { return outgoing(engine); });
  if (call.root.kind != RootPart::Kind::none) teams_.begin(call.team, calls_.at(call.id));
}

// The same for a call whose items go to one of several teams each; their first engines are granted first.
void Controller::enter_team(Call& call, const scheduler::Grant& grant) {
  const auto team =
      std::find_if(call.teams.begin(), call.teams.end(), [&](const std::vector<int>& engines) { return engines.front() == grant.engine; });
  if (team == call.teams.end()) return;
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) call.team_items[item].pending = team->size();
  if (call.team_numbers.contains(grant.engine)) return;
  const std::uint64_t number = teams_.enter(*team, [this](int engine) -> transport::Message& { return outgoing(engine); });
  for (const int engine : *team) call.team_numbers[engine] = number;
}

void Controller::end_root_part(Call& call) {
  call.root.kept.reset();
  call.last_received = now();
  call.sealed.store(true, std::memory_order_release);
  if (call.done()) end_call(call);
}

void Controller::grant(const scheduler::Grant& grant) {
  Call& call = *find(grant.call);
  if (call.together && call.team == 0) enter_team(call);
  if (!call.teams.empty()) enter_team(call, grant);
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) {
    ItemRecord& record = call.items[item];
    // The first engine of a team stands for all.
    if (record.status == Status::handed_out) continue;
    record.status = Status::handed_out;
    record.engine = grant.engine;
    ++record.attempts;
  }
  if (call.function.thunk->load != nullptr &&
      std::find(call.object_holders.begin(), call.object_holders.end(), grant.engine) == call.object_holders.end()) {
    wire::Object object;
    object.call = call.id;
    object.state = call.function.object.bytes.bytes();
    wire::write(outgoing(grant.engine), object);
    call.object_holders.push_back(grant.engine);
  }
  if (call.same_arguments) {
    write_batch(call, call.blocks.front(), grant.engine, grant.begin, grant.end);
    return;
  }
  // One batch for each block that the grant touches.
  auto block = block_of(call, grant.begin);
  for (std::uint64_t item = grant.begin; item < grant.end; ++block) {
    const std::uint64_t end = std::min(grant.end, block->first + block->count);
    write_batch(call, *block, grant.engine, item, end);
    item = end;
  }
}

void Controller::write_batch(Call& call, const ArgumentBlock& block, int engine, std::uint64_t begin, std::uint64_t end) {
  wire::Batch batch;
  batch.thunk = code_address(call.function.thunk);
  if (call.function.code != nullptr) batch.function = code_address(call.function.code);
  batch.call = call.id;
  batch.has_object = call.function.thunk->load != nullptr ? 1 : 0;
  batch.first = begin;
  batch.count = end - begin;
  batch.stride = block.stride;
  batch.team = call.teams.empty() ? call.team : call.team_numbers.at(engine);
  batch.communicator = call.communicator ? 1 : 0;
  batch.first_only = call.teams.empty() ? 0 : 1;
  if (call.root.kind != RootPart::Kind::none && call.root.votes) batch.votes = call.root.rounds;
  batch.items = call.same_arguments ? block.items(0, 1) : block.items(begin, end);
  // What has attachments travels alone, so that they are known to belong to it.
  const bool attached = !block.data.attachments.empty();
  if (attached) send(engine);
  transport::Message& message = outgoing(engine);
  wire::write(message, batch);
  if (!attached) return;
  message.attachments = block.data.attachments;
  message.kept = block.data.kept;
  send(engine);
}

// ---- from the engines --------------------------------------------------------------------------------------------------------

void Controller::on_frame(transport::Frame& frame) {
  try {
    Reader in(frame.records);
    while (!in.done()) {
      const wire::Record record = wire::read(in);
      if (const auto* results = std::get_if<wire::Results>(&record)) {
        on_results(frame, *results);
      } else if (const auto* at_join = std::get_if<wire::AtJoin>(&record)) {
        teams_.on_join(at_join->team, frame.peer - 1);
      } else if (const auto* memory = std::get_if<wire::Memory>(&record)) {
        accounts_.at(static_cast<std::size_t>(frame.peer) - 1).memory = *memory;
      } else if (std::holds_alternative<wire::Bye>(record)) {
        ++goodbyes_;
      } else {
        throw DecodeError("a record that only the controller sends");
      }
    }
  } catch (const DecodeError& error) {
    // Without it some task would never end, and its client wait for ever.
    transport::end_process(1,
                           "rank 0 received a message from rank " + std::to_string(frame.peer) + " that it cannot read: " + error.what());
  }
}

void Controller::on_results(transport::Frame& frame, const wire::Results& results) {
  Call* const found = find(results.call);
  if (found == nullptr || results.first + results.count > found->items.size())
    throw DecodeError("results for items that nobody asked for, of call " + std::to_string(results.call));
  Call& call = *found;
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  std::uint64_t failures = 0;
  const int engine = frame.peer - 1;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    ItemRecord& record = call.items[item];
    if (record.status != Status::handed_out) throw DecodeError("a second result of task " + to_string(TaskId{call.id, item}));
    if (record.engine == engine) {
      record.started = started;
      record.completed = result.completed;
      record.received = received;
    }
    started = result.completed;
    if (result.failed) {
      ++failures;
      auto error = remote_error(call, item, engine, result.value);
      if (call.communicator) note_desertion(call, item, error);
      const Status status = error ? Status::failed : Status::aborted;
      finish_item(call, item, status, std::move(error));
    } else if (record.engine == engine) {
      load(frame, call, item, result.value);
    } else {
      finish_item(call, item, Status::completed, nullptr);
    }
  }
  call.last_received = received;
  Account& account = accounts_[static_cast<std::size_t>(engine)];
  account.completed += results.count - failures;
  account.failed += failures;
  scheduler_.finished(engine, kind_of(call), results.count, started - results.started);
  if (call.done()) end_call(call);
}

void Controller::load(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value) {
  const bool attached = !frame.attachment_sizes.empty();
  Claims claims(frame.attachment_sizes);
  std::exception_ptr error;
  const auto unreadable = [&](const char* why) {
    error = std::make_exception_ptr(DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " from engine " +
                                                std::to_string(call.items[item].engine) + " cannot be read: " + why));
  };
  if (!call.abandoned) {
    try {
      Reader in(value, &claims);
      call.load(item, in);
    } catch (const std::exception& e) {
      unreadable(e.what());
    } catch (...) {
      unreadable("reading it threw something that is not derived from std::exception");
    }
  }
  if (!attached) {
    const Status status = error ? Status::failed : Status::completed;
    finish_item(call, item, status, std::move(error));
    return;
  }
  const bool wanted = error == nullptr && claims.places().size() == frame.attachment_sizes.size();
  auto transfer = endpoint_.receive(frame, wanted ? claims.places() : std::vector<Claims::Place>());
  landing_.push_back({std::move(transfer), calls_.at(call.id), item, error});
}

// Whether results of the call are being written into their places.
bool Controller::landing(const Call& call) const {
  return std::any_of(landing_.begin(), landing_.end(), [&call](const Landing& l) { return l.call.get() == &call; });
}

bool Controller::land() {
  bool any = false;
  for (std::size_t i = 0; i < landing_.size();) {
    if (!landing_[i].transfer->done()) {
      ++i;
      continue;
    }
    Landing landed = std::move(landing_[i]);
    landing_.erase(landing_.begin() + static_cast<std::ptrdiff_t>(i));
    landed.call->items[landed.item].received = now();
    landed.call->last_received = landed.call->items[landed.item].received;
    finish_item(*landed.call, landed.item, landed.error ? Status::failed : Status::completed, landed.error);
    if (landed.call->abandoned && !landing(*landed.call)) landed.call->discard();
    if (landed.call->done()) end_call(*landed.call);
    any = true;
  }
  return any;
}

std::exception_ptr Controller::remote_error(const Call& call, std::uint64_t item, int by, std::span<const std::byte> value) const {
  Reader in(value);
  wire::Failure failure = wire::read_failure(in);
  const EngineInfo& at = engine(by);
  TaskPlace place{by, at.rank, at.host, at.pid, {call.id, item}};
  switch (failure.kind) {
    case wire::FailureKind::name:
      return std::make_exception_ptr(NameError(std::move(failure.message), std::move(place)));
    case wire::FailureKind::type:
      return std::make_exception_ptr(TypeError(std::move(failure.message), std::move(place)));
    case wire::FailureKind::stood_back:
      return nullptr;
    case wire::FailureKind::exception:
      break;
  }
  return std::make_exception_ptr(RemoteError(std::move(place), std::move(failure.type_name), std::move(failure.message)));
}

void Controller::note_desertion(const Call& call, std::uint64_t item, const std::exception_ptr& error) {
  const bool known = std::any_of(desertions_.begin(), desertions_.end(),
                                 [&](const Desertion& d) { return d.call == call.id && (call.together || d.item == item); });
  if (!known) desertions_.push_back({call.id, item, now(), error});
}

// Who waits in MPI for an engine that has thrown cannot be called back. After a while that is an error of the whole job.
void Controller::check_desertions() {
  const std::int64_t limit = now() - std::chrono::nanoseconds(settings_.grace).count();
  std::erase_if(desertions_, [&](const Desertion& desertion) {
    const auto found = calls_.find(desertion.call);
    if (found == calls_.end()) return true;
    const Call& call = *found->second;
    if (!call.together && !call.team_items.contains(desertion.item)) return true;
    if (desertion.since > limit) return false;
    transport::end_process(1, wire::error_text(desertion.error) + "\nThe other engines of that task still wait for this one in MPI after " +
                                  std::to_string(settings_.grace.count()) + " ms (RANKVIEW_SHUTDOWN_GRACE_MS), and cannot be freed");
  });
}

// One engine has ended the item. What a team runs has ended when all of it have, with the first error if there was one.
void Controller::finish_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  if (!call.teams.empty()) {
    const auto found = call.team_items.find(item);
    TeamItem& running = found->second;
    if (error && !running.error) running.error = std::move(error);
    if (--running.pending != 0) return;
    error = std::move(running.error);
    status = error ? Status::failed : Status::completed;
    call.team_items.erase(found);
  }
  end_item(call, item, status, std::move(error));
}

void Controller::end_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  call.items[item].status = status;
  if (error) call.errors.emplace(item, std::move(error));
  for (const auto& feed : call.feeds) {
    if (const auto alive = feed.lock()) alive->ended.push_back(item);
  }
  if (!call.same_arguments) {
    // Arguments are kept no longer than they may be needed.
    const auto block = block_of(call, item);
    if (--block->unfinished == 0) block->data = {};
  }
  // From the next line on the client may look at the value.
  if (call.sealed && call.ended + 1 == call.items.size() && !failed(call) && !call.abandoned) {
    try {
      call.complete();
    } catch (...) {
      call.failure = std::current_exception();
    }
  }
  call.ended.fetch_add(1, std::memory_order_release);
}

void Controller::end_call(Call& call) {
  const auto found = calls_.find(call.id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Call> alive = std::move(found->second);
  calls_.erase(found);
  last_call_ = nullptr;
  if (call.team != 0) teams_.leave(call.team);
  for (const std::vector<int>& team : call.teams) {
    if (const auto number = call.team_numbers.find(team.front()); number != call.team_numbers.end()) teams_.leave(number->second);
  }
  for (const int engine : call.object_holders) wire::write(outgoing(engine), wire::Forget{call.id});
  send_all();
  call.root.kept.reset();
  call.blocks.clear();
  call.function.object = {};
  if (call.abandoned) report_unseen(call);
}

// ---- the end -----------------------------------------------------------------------------------------------------------------

void Controller::close(wire::Ending ending, int exit_code, const std::string& reason) {
  std::unique_lock guard(lock_);
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
  const bool ended =
      drive(limit, [this] { return goodbyes_ == settings_.engines.size() && landing_.empty() && teams_.idle() && endpoint_.flushed(); });
  if (!ended) transport::end_process(exit_code, "the client failed, and not every engine stopped within the grace period: " + reason);
  guard.lock();
  open_.store(false, std::memory_order_release);
  // What engines were told to drop; other threads of the client may wait for it.
  while (!calls_.empty()) {
    Call& call = *calls_.begin()->second;
    if (call.errors.empty()) call.error_seen = true;
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (!has_ended(call.items[item].status))
        end_item(call, item, Status::aborted,
                 std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) + ": the run ended")));
    }
    call.sealed.store(true, std::memory_order_release);
    call.object_holders.clear();
    end_call(call);
  }
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
