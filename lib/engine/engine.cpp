// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include "engine/failure.hpp"
#include "engine/group.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/callable.hpp>
#include <rankview/errors.hpp>
#include <rankview/this_task.hpp>

#include <pthread.h>
#include <algorithm>
#include <mutex>
#include <utility>
#include <variant>

namespace rankview::engine {
namespace {

// Results wait so long for company, in nanoseconds and bytes.
constexpr std::int64_t flush_after = 50'000;
constexpr std::size_t flush_bytes = 32 * 1024;
// Between short tasks the engine looks so often for messages.
constexpr std::int64_t look_after = 50'000;
// When nothing has come for so many looks, there is time to tell how much memory the variables take; it may take a twentieth of the time.
constexpr unsigned looks_before_report = 16;
constexpr std::int64_t report_share = 20;
constexpr auto pulse_period = std::chrono::milliseconds(1);

// What activity_ says.
constexpr int parked = 0;
constexpr int busy = 1;
constexpr int quitting = 2;

thread_local Engine* running_here = nullptr;
// For threads that tasks start. Only set on ranks that do nothing but serve, so that the client of a one-rank run is not taken for a task.
std::atomic<Engine*> serving_process{nullptr};

}  // namespace

// Reached by who does not get it at once, so that what runs a task need not look whether it is a forked child.
void Baton::wait() const {
  if (forked_) transport::end_process(1, "a child that a task has forked came back from the task, or used rankview: end it with _exit()");
  std::this_thread::yield();
}

Engine* current() { return running_here != nullptr ? running_here : serving_process.load(std::memory_order_acquire); }

// What a thunk sees of the engine.
class Engine::Running final : public detail::Invocation {
 public:
  Running(Engine& engine, Pending& message, const Code& code, detail::Reader& in, detail::Claims& claims, detail::Group* with)
      : Invocation(in, engine.scratch_, code.function, code.object.get(), with, engine.folded_),
        engine_(engine),
        message_(message),
        claims_(claims) {}

  void await_attachments() override {
    if (claims_.sizes().empty()) return;
    const std::lock_guard held(engine_.baton_);
    engine_.receive(message_, claims_.places());
  }

 private:
  Engine& engine_;
  Pending& message_;
  detail::Claims& claims_;
};

Engine::Engine(const Settings& settings, Variables& variables) : settings_(settings), variables_(variables), spin_(settings.idle) {
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    if (running_here != nullptr) running_here->withhold();
  });
  static_cast<void>(registered);
  if (settings_.pulse) pulse_ = std::thread([this] { pulse(); });
}

Engine::~Engine() {
  activity_ = quitting;
  activity_.notify_all();
  if (pulse_.joinable()) pulse_.join();
}

wire::End Engine::serve(transport::Endpoint& endpoint) {
  endpoint_ = &endpoint;
  running_here = this;
  own_thread_ = std::this_thread::get_id();
  if (settings_.own_process) serving_process.store(this, std::memory_order_release);

  stack_.reset();
  tasks_since_report_ = true;
  next_report_ = 0;
  reported_ = {};
  unsigned idle_looks = 0;
  transport::Idle idle(spin_);
  while (!end_ || !queue_.empty()) {
    let_go_of_sent();
    if (carry_out_next()) {
      idle.reset();
      continue;
    }
    flush();
    if (!dropping_.empty()) dropping();
    stops_.clear();  // they were about what was here by then, and that is done
    if (endpoint.poll(*this)) {
      idle.reset();
      idle_looks = 0;
      continue;
    }
    if (tasks_since_report_ && ++idle_looks > looks_before_report) report_memory();
    if (endpoint.doze(idle) && activity_.load(std::memory_order_relaxed) == busy) {
      activity_ = parked;
    }
  }
  // What arrives from here on belongs to the next run.
  wire::End end = *std::exchange(end_, std::nullopt);
  objects_.clear();
  stops_.clear();
  kept_.clear();
  kept_bytes_ = 0;
  assembling_.clear();
  leave();

  // Something of the next run may have come already.
  if (queue_.empty()) activity_ = parked;
  if (settings_.own_process) serving_process.store(nullptr, std::memory_order_release);
  running_here = nullptr;
  endpoint_ = nullptr;
  return end;
}

void Engine::leave() {
  flush();
  transport::Message message = endpoint_->message();
  wire::write(message, wire::Bye{});
  endpoint_->send(0, std::move(message));
  transport::Idle idle(spin_);
  while (!endpoint_->flushed() || dropping()) {
    let_go_of_sent();
    if (endpoint_->poll(*this)) {
      idle.reset();
    } else {
      endpoint_->doze(idle);
    }
  }
  let_go_of_sent();
}

std::shared_ptr<Engine::Pending> Engine::new_pending() {
  if (last_pending_ == nullptr || last_pending_.use_count() > 1) last_pending_ = std::make_shared<Pending>();
  last_pending_->bytes.clear();
  last_pending_->frame = {};
  return last_pending_;
}

void Engine::on_frame(transport::Frame& frame) {
  const std::shared_ptr<Pending> message = new_pending();
  if (frame.local != nullptr) {
    const auto offset = static_cast<std::size_t>(frame.records.data() - frame.local->bytes.data());
    message->local = std::move(*frame.local);
    frame.records = message->local.bytes.bytes().subspan(offset);
    message->frame.local = &message->local;
  } else if (frame.owned != nullptr) {
    message->bytes = std::move(*frame.owned);
    frame.records = message->bytes.bytes().first(frame.records.size());
  } else {
    message->bytes.append(frame.records.data(), frame.records.size());
    frame.records = message->bytes.bytes();
  }
  message->attachment_sizes.assign(frame.attachment_sizes.begin(), frame.attachment_sizes.end());
  message->received = message->attachment_sizes.empty();
  message->frame.peer = frame.peer;
  message->frame.tag = frame.tag;
  message->frame.attachment_sizes = message->attachment_sizes;

  detail::Reader in(frame.records);
  try {
    while (!in.done()) on_record(wire::read(in), message);
  } catch (const DecodeError& error) {
    // Who can no longer understand the controller can only end: with tasks lost, going on would wait for ever.
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a message it cannot read: " + wire::error_text(error));
  }
}

void Engine::on_record(const wire::Record& record, const std::shared_ptr<Pending>& message) {
  if (const auto* batch = std::get_if<wire::Batch>(&record)) {
    // What others do with this engine is done to its end.
    expect(*batch);
    if (end_ && end_->ending == wire::Ending::failed && batch->team == 0) {
      done_with(*batch, *message);
      return;
    }
    queue_.push_back({*batch, message});
    if (settings_.pulse && activity_.load(std::memory_order_relaxed) == parked) {
      activity_ = busy;
      activity_.notify_one();
    }
  } else if (const auto* object = std::get_if<wire::Object>(&record)) {
    objects_[object->call] = {object->state, message, nullptr};
  } else if (const auto* forget = std::get_if<wire::Forget>(&record)) {
    objects_.erase(forget->call);
  } else if (const auto* end = std::get_if<wire::End>(&record)) {
    end_ = *end;
    end_seen_ = settings_.clock.now();
    if (end->ending == wire::Ending::failed) give_up_queue();
  } else if (const auto* stop_items = std::get_if<wire::Stop>(&record)) {
    stop(*stop_items);
  } else if (const auto* answer = std::get_if<wire::Answer>(&record)) {
    if (const auto subtask = subtasks_.find(answer->ticket); subtask != subtasks_.end()) {
      subtask->second = Answered{answer->failed != 0, {answer->value.begin(), answer->value.end()}};
    } else if (answer->failed != 0) {
      report_unseen(answer->value);
    }
  } else if (const auto* forward = std::get_if<wire::Forward>(&record)) {
    deliver(*forward);
  } else if (const auto* delivery = std::get_if<wire::Delivery>(&record)) {
    on_delivery(*delivery, message);
  } else if (const auto* recall = std::get_if<wire::Recall>(&record)) {
    give_back(*recall);
  } else if (const auto* join = std::get_if<wire::Join>(&record)) {
    queue_.push_back({*join, nullptr});
  } else if (const auto* disband = std::get_if<wire::Disband>(&record)) {
    queue_.push_back({*disband, nullptr});
  } else if (const auto* assemble = std::get_if<wire::Assemble>(&record)) {
    assembling_.insert(assemble->team);
  } else {
    throw DecodeError("a record that engines only send to rank 0");
  }
}

// Drops what has not begun, but for what others would miss this engine in.
void Engine::give_up_queue() {
  std::erase_if(queue_, [this](const Queued& queued) {
    const auto* const batch = std::get_if<wire::Batch>(&queued.command);
    if (batch == nullptr || batch->team != 0) return false;
    done_with(*batch, *queued.message);
    return true;
  });
}

// Gives back what has not begun. What engines run together is never asked for; what has attachments stays, since they have arrived here.
void Engine::give_back(const wire::Recall& recall) {
  wire::Returned returned;
  // Cuts [first, end) to what comes before the recalled, if that is its end.
  const auto cut = [&](const wire::Items& wanted, std::uint64_t first, std::uint64_t& end) {
    const std::uint64_t from = std::max(first, wanted.first);
    if (from >= end || wanted.first + wanted.count < end || (wanted.whole != 0 && (from != wanted.first || from + wanted.count != end)))
      return;
    returned.items.push_back({wanted.call, from, end - from, wanted.whole});
    end = from;
  };
  for (const wire::Items& wanted : recall.items) {
    if (wanted.call == at_.call && at_.movable) cut(wanted, at_.item + 1, at_.end);
    for (Position* const suspended : suspended_) {
      if (wanted.call == suspended->call && suspended->movable) cut(wanted, suspended->item + 1, suspended->end);
    }
    for (Queued& queued : queue_) {
      auto* const batch = std::get_if<wire::Batch>(&queued.command);
      if (batch == nullptr || batch->call != wanted.call || !batch->movable || !queued.message->attachment_sizes.empty()) continue;
      std::uint64_t end = batch->first + batch->count;
      cut(wanted, batch->first, end);
      batch->count = end - batch->first;
    }
  }
  std::erase_if(queue_, [](const Queued& queued) {
    const auto* const batch = std::get_if<wire::Batch>(&queued.command);
    return batch != nullptr && batch->count == 0;
  });
  wire::write(outbox_, returned);
  results_.close();
  flush();
}

void Engine::stop(const wire::Stop& stop) {
  stops_.push_back(stop);
  if (stopped(at_.call, at_.item)) stop_requested_.store(true, std::memory_order_release);
}

bool Engine::stopped(std::uint64_t call, std::uint64_t item) const {
  return std::any_of(stops_.begin(), stops_.end(),
                     [=](const wire::Stop& stop) { return stop.call == call && item >= stop.first && item - stop.first < stop.count; });
}

// Below MPI_THREAD_MULTIPLE there is no pulse to receive the request.
bool Engine::stop_requested() {
  if (!settings_.pulse && on_own_thread()) {
    endpoint_->poll(*this);
    if (baton_.try_lock()) {
      std::stop_source due = due_stop();
      baton_.unlock();
      due.request_stop();
    }
  }
  return stop_requested_.load(std::memory_order_acquire) ||
         (deadline_.load(std::memory_order_relaxed) != 0 && overdue(settings_.clock.now()));
}

bool Engine::overdue(std::int64_t now) const {
  const std::int64_t deadline = deadline_.load(std::memory_order_relaxed);
  return deadline != 0 && now > deadline;
}

std::stop_token Engine::stop_token() {
  std::stop_token token;
  std::stop_source due(std::nostopstate);
  {
    const std::lock_guard held(baton_);
    if (!stop_source_) stop_source_.emplace();
    token = stop_source_->get_token();
    due = due_stop();
  }
  due.request_stop();
  return token;
}

// Whom to ask to stop. That runs the task's callbacks, so it must be done without the baton, which they may want.
std::stop_source Engine::due_stop() const {
  return stop_source_ && (stop_requested_.load(std::memory_order_acquire) || overdue(settings_.clock.now()))
             ? *stop_source_
             : std::stop_source(std::nostopstate);
}

// Sent at once, unless something was a moment ago: then the pulse does it. Without a pulse, only the task's own thread may.
void Engine::publish(std::string_view name, const char* type, std::span<const std::byte> value) {
  const bool own_thread = on_own_thread();
  {
    const std::lock_guard held(baton_);
    wire::write(outbox_, wire::Published{at_.call, at_.item, std::string(name), type, value});
    results_.close();
    const std::int64_t now = settings_.clock.now();
    const bool due = settings_.pulse ? now - last_published_ >= flush_after || outbox_.size() >= flush_bytes : own_thread;
    if (due) {
      last_published_ = now;
      flush();
    }
  }
  if (!settings_.pulse && own_thread) static_cast<void>(stop_requested());
}

bool Engine::on_own_thread() const { return own_thread_ == std::this_thread::get_id(); }

bool Engine::carry_out_next() {
  if (queue_.empty()) return false;
  const Queued next = std::move(queue_.front());
  queue_.pop_front();
  carry_out(next);
  return true;
}

void Engine::carry_out(const Queued& queued) {
  if (const auto* batch = std::get_if<wire::Batch>(&queued.command)) {
    run(*batch, *queued.message);
    done_with(*batch, *queued.message);
  } else if (const auto* join_team = std::get_if<wire::Join>(&queued.command)) {
    join(*join_team);
  } else {
    teams_.erase(std::get<wire::Disband>(queued.command).team);
  }
}

// Making a communicator blocks, so nobody begins before all are there.
void Engine::join(const wire::Join& join) {
  wire::write(outbox_, wire::AtJoin{join.team});
  flush();
  transport::Idle idle(spin_);
  while (!assembling_.contains(join.team)) poll_or_nap(idle);
  assembling_.erase(join.team);
  std::vector<int> peers;
  for (const std::int32_t id : join.engines) peers.push_back(id + 1);
  teams_[join.team] = endpoint_->assemble(join.team, peers);
}

// It has been run, or will not be: takes in what was sent for it and is not needed.
void Engine::done_with(const wire::Batch& batch, Pending& message) {
  if (!message.received) drop(message);
  expect_no_more(batch);
}

// What belongs to the next item of a batch.
std::span<const std::byte> Engine::next_arguments(wire::ItemCursor& items) const {
  try {
    return items.next();
  } catch (const DecodeError& error) {
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a batch it cannot read: " + wire::error_text(error));
  }
}

void Engine::run(const wire::Batch& batch, Pending& message) {
  Code code;
  wire::ItemCursor items(batch);
  std::optional<Group> group;
  if (batch.team != 0) {
    // Others may need what this engine has done before they can come.
    flush();
    group.emplace(*teams_.at(batch.team), spin_, batch.votes);
  } else if (batch.slow) {
    flush();
  }
  tasks_since_report_ = true;
  // What an item left that ran out of time is of another batch's type.
  folded_.reset();
  std::int64_t started = settings_.clock.now();
  at_.end = batch.first + batch.count;
  at_.movable = batch.movable && message.attachment_sizes.empty();
  for (std::uint64_t item = batch.first; item < at_.end; ++item) {
    ++items_begun_;
    scratch_.bytes.clear();
    at_.call = batch.call;
    at_.item = item;
    const auto arguments = next_arguments(items);
    // What engines run together is begun by all, or others would wait.
    if (!stops_.empty() && batch.team == 0 && stopped(batch.call, item)) {
      end_fold(batch.call, code);
      wire::write(scratch_, wire::Failure{wire::FailureKind::stopped, "", ""});
      add_result(batch.call, item, started, started, true);
      continue;
    }
    const bool well = run_item(batch, message, code, arguments, started, group ? &*group : nullptr);
    const std::int64_t completed = settings_.clock.now();
    if (well && code.thunk->fold != nullptr) {
      folded_items_.push_back({item, started, completed});
    } else {
      if (!folded_items_.empty()) fail_fold(batch.call, code);
      if (well && batch.keep) keep(batch.call);
      add_result(batch.call, item, started, completed, !well);
    }
    if (batch.communicator) {
      if (!well) flush();  // others may be in MPI for good
      // Others may want something of this engine before they come.
      const Baton::Lent lent(baton_);
      group->settle(!well, [this] {
        const std::lock_guard held(baton_);
        flush();
      });
    }
    started = completed;
    if (completed - last_look_ < look_after) continue;
    end_fold(batch.call, code);
    look(completed);
    if (end_ && end_->ending == wire::Ending::failed && batch.team == 0) return;
    results_.close();
    started = settings_.clock.now();
  }
  end_fold(batch.call, code);
  at_.end = 0;
}

// Whether the item went well; what it gave, or why it failed, is in scratch_.
bool Engine::run_item(const wire::Batch& batch, Pending& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                      Group* group) {
  if (stop_source_) stop_source_.reset();
  stop_requested_.store(!stops_.empty() && stopped(batch.call, at_.item), std::memory_order_release);
  told_overdue_ = false;
  if (batch.timeout != 0) deadline_.store(started + batch.timeout, std::memory_order_relaxed);
  const auto in_time = [this, &batch] { return batch.timeout == 0 || !(told_overdue_ || overdue(settings_.clock.now())); };
  const auto fail = [this](const wire::Failure& failure) {
    scratch_.rewind({0, 0, 0});
    wire::write(scratch_, failure);
  };
  bool well = true;
  try {
    if (batch.communicator) {
      const Baton::Lent lent(baton_);
      group->prepare();
    }
    if (code.thunk == nullptr) code = code_of(batch);
    scratch_.flat = batch.flat;
    if (code.predicate != nullptr && !accepted(code)) {
      fail({wire::FailureKind::refused, "", ""});
      well = false;
    } else {
      run_task(message, code, arguments, group);
      if (code.thunk->fold != nullptr && in_time()) fold(code, code.thunk->fold);
    }
    if (batch.first_only && group->index() != 0) scratch_.rewind({0, 0, 0});
  } catch (...) {
    fail(describe_current_exception());
    well = false;
    if (group != nullptr) {
      const Baton::Lent lent(baton_);
      group->refuse();
    }
  }
  if (well && !in_time()) {
    fail({wire::FailureKind::timed_out, "", ""});
    well = false;
  }
  deadline_.store(0, std::memory_order_relaxed);
  scratch_.flat = false;
  return well;
}

Engine::Code Engine::code_of(const wire::Batch& batch) {
  Code code;
  if (batch.predicate != wire::CodeAddress{})
    code.predicate = reinterpret_cast<bool (*)()>(const_cast<void*>(detail::local_address(batch.predicate)));
  if (batch.function != wire::CodeAddress{}) code.function = detail::local_address(batch.function);
  const auto* thunk = static_cast<const detail::Thunk*>(detail::local_address(batch.thunk));
  if (batch.has_object) {
    State& state = objects_.at(batch.call);
    if (state.object == nullptr) {
      detail::Reader in(state.bytes);
      state.object = thunk->load(in);
    }
    code.object = state.object;
  }
  code.thunk = thunk;
  return code;
}

// Whether the task may run here.
bool Engine::accepted(const Code& code) {
  const Baton::Lent lent(baton_);
  return code.predicate();
}

void Engine::run_task(Pending& message, const Code& code, std::span<const std::byte> bytes, detail::Group* group) {
  detail::Claims claims(message.attachment_sizes);
  detail::Reader arguments(bytes, &claims);
  arguments.flat() = scratch_.flat;
  Running running(*this, message, code, arguments, claims, group);
  {
    const Baton::Lent lent(baton_);
    code.thunk->run(running);
  }
  scratch_type_ = running.result_type;
}

// Has the thunk do something with what has been folded.
void Engine::fold(const Code& code, void (*step)(detail::Invocation&)) {
  detail::Claims none({});
  detail::Reader nothing({}, &none);
  Running running(*this, no_message_, code, nothing, none, nullptr);
  const Baton::Lent lent(baton_);
  step(running);
}

void Engine::add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed) {
  const bool alone = !scratch_.attachments.empty();
  if (alone) flush();
  results_.add(call, item, started, completed, failed, scratch_.bytes.bytes());
  if (oldest_result_ == 0) oldest_result_ = completed;
  if (!alone && outbox_.size() < flush_bytes) return;
  outbox_.attachments = std::exchange(scratch_.attachments, {});
  outbox_.kept = std::exchange(scratch_.kept, {});
  flush();
}

void Engine::flush() {
  if (outbox_.empty()) return;
  endpoint_->send(0, std::exchange(outbox_, endpoint_->message()));
  results_.close();
  oldest_result_ = 0;
}

void Engine::report_memory() {
  const std::int64_t begin = settings_.clock.now();
  // A thread of the client's process may be about to sleep until the next message.
  if (begin < next_report_ && settings_.own_process) return;
  const wire::Memory memory{variables_.size(), variables_.bytes()};
  const std::int64_t end = settings_.clock.now();
  next_report_ = end + report_share * (end - begin);
  tasks_since_report_ = false;
  if (memory.variables == reported_.variables && memory.bytes == reported_.bytes) return;
  reported_ = memory;
  wire::write(outbox_, memory);
  results_.close();
  flush();
}

// What was attached to messages that have left may be the user's, whose destructors may want something of the engine.
void Engine::let_go_of_sent() {
  if (!endpoint_->anything_sent()) return;
  auto sent = endpoint_->take_sent();
  const Baton::Lent lent(baton_);
  sent.clear();
}

void Engine::look(std::int64_t now) {
  endpoint_->poll(*this);
  let_go_of_sent();
  last_look_ = now;
  if (!dropping_.empty()) dropping();
  // Without a pulse nobody would send them during the next task, however long that is.
  if (oldest_result_ != 0 && (now - oldest_result_ >= flush_after || !settings_.pulse)) flush();
}

void Engine::receive(Pending& message, const std::vector<detail::Claims::Place>& places) {
  message.received = true;
  const auto transfer = endpoint_->receive(message.frame, places);
  if (transfer->done()) return;
  flush();
  transport::Idle idle(spin_);
  while (!transfer->done()) poll_or_nap(idle);
}

// Whoever sends attachments waits until they are received. Does not wait.
void Engine::drop(Pending& message) {
  message.received = true;
  try {
    dropping_.push_back(endpoint_->receive(message.frame, {}));
  } catch (const std::bad_alloc&) {
    transport::end_process(
        1, "engine " + std::to_string(settings_.id) + " has no memory to receive what was sent to a task that does not run");
  }
}

// A look for messages, or a pause between two, for who waits for one. In the pause the pulse may do something.
void Engine::poll_or_nap(transport::Idle& idle) {
  if (endpoint_->poll(*this)) {
    idle.reset();
  } else if (const auto pause = idle.pause(); pause.count() != 0) {
    const Baton::Lent lent(baton_);
    transport::nap(pause);
  }
}

// The second thread: sleeps while the engine has nothing to do, else looks once a period whether it is still in the same task.
void Engine::pulse() {
  running_here = this;  // for callbacks of a task's stop token
  std::uint64_t last = 0;
  for (;;) {
    activity_.wait(parked);
    if (activity_.load() == quitting) return;
    std::this_thread::sleep_for(pulse_period);
    const std::uint64_t begun = items_begun_.load(std::memory_order_relaxed);
    if (begun == std::exchange(last, begun) && baton_.try_lock()) {
      beat();
      std::stop_source due = due_stop();
      baton_.unlock();
      due.request_stop();
    }
  }
}

void Engine::beat() {
  // Between two runs there is no endpoint; the loop then holds the baton, and this is not reached.
  for (int i = 0; i < 64 && endpoint_->poll(*this);) ++i;
  if (overdue(settings_.clock.now()) && !std::exchange(told_overdue_, true)) {
    stop_requested_.store(true, std::memory_order_release);
    wire::write(outbox_, wire::Overdue{at_.call, at_.item});
    results_.close();
  }
  flush();
  const auto since_end = std::chrono::nanoseconds(settings_.clock.now() - end_seen_);
  if (end_ && end_->ending == wire::Ending::failed && since_end > settings_.grace)
    transport::end_process(static_cast<int>(end_->exit_code),
                           "the client failed (" + end_->reason + "), and the running task of engine " + std::to_string(settings_.id) +
                               " did not stop within " + std::to_string(settings_.grace.count()) + " ms (RANKVIEW_SHUTDOWN_GRACE_MS)");
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1 {
namespace {

engine::Engine& here() {
  engine::Engine* const engine = engine::current();
  if (engine == nullptr) throw UsageError("rv::this_engine and rv::this_task are only known inside a task that runs on an engine");
  return *engine;
}

}  // namespace

namespace this_engine {

int id() { return here().settings().id; }
int size() { return here().settings().size; }
Variables& vars() { return here().variables(); }

}  // namespace this_engine

bool this_task::stop_requested() { return here().stop_requested(); }

std::stop_token this_task::stop_token() { return here().stop_token(); }

void this_task::progress(double fraction) {
  if (!(fraction >= 0 && fraction <= 1)) throw UsageError("progress is a fraction between 0 and 1, and not " + std::to_string(fraction));
  publish("progress", fraction);
}

void detail::publish(std::string_view name, const std::type_info& type, const Writer& value) {
  here().publish(name, type.name(), value.bytes.bytes());
}

}  // namespace rankview
