// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"
#include "engine/group.hpp"
#include "marks/mark.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>

#include <memory>
#include <mutex>
#include <utility>

// How an engine runs the items of a batch.
namespace rankview::engine {

// What a thunk sees of the engine.
class Engine::Running final : public detail::Invocation {
 public:
  Running(Engine& engine, InMessage* message, const Code& code, detail::Reader& in, detail::Claims& claims, detail::Group* with)
      : Invocation(in, engine.runs_->result, code.function, code.object.get(), with, engine.runs_->folded),
        engine_(engine),
        message_(message),
        claims_(claims) {}

  void await_attachments() override {
    if (claims_.sizes().empty()) return;
    const std::lock_guard held(engine_.lock_);
    engine_.receive(*message_, claims_.places());
  }

 private:
  Engine& engine_;
  InMessage* message_;
  detail::Claims& claims_;
};

void Engine::run(const wire::Batch& batch, InMessage& message, std::uint64_t number) {
  Code code;
  wire::ItemCursor items(batch);
  std::optional<Group> group;
  if (batch.team != 0) {
    // Others may need what this engine has done before they can come.
    outbox_.flush();
    if (teams_.broken(batch.team)) {
      fail_batch(batch);
      return;
    }
    group.emplace(teams_.at(batch.team), loop_.spin(), settings_.clock, batch.votes, [this, &batch] { return team_broken(batch.team); });
  } else if (batch.slow) {
    outbox_.flush();
  }
  memory_report_.note_tasks();
  // What an isolated one prints is taken where it runs.
  capture::Outputs* const outputs = batch.isolated ? nullptr : settings_.outputs;
  std::unique_ptr<capture::Printed> of_waiting = outputs != nullptr ? outputs->begin() : nullptr;
  ItemRun& run = *runs_;
  // What an item left that ran out of time is of another batch's type.
  if (run.folded != nullptr) left_.push_back(std::move(run.folded));
  std::int64_t started = settings_.clock.now();
  run.call = batch.call;
  run.end = batch.first + batch.count;
  run.number = number;
  run.team = batch.communicator ? batch.team : 0;
  run.movable = batch.movable && message.attachment_sizes.empty();
  for (std::uint64_t item = batch.first; item < run.end; ++item) {
    progress_thread_.note_item();
    run.result.bytes.clear();
    run.item = item;
    const auto arguments = next_arguments(items);
    // What engines run together is begun by all, or others would wait.
    if (batch.team == 0 && inbox_.stopped(batch.call, item, number)) {
      RANKVIEW_MARK(stopped_before_it_began);
      end_fold(batch.call, code);
      wire::write(run.result, wire::Failure{wire::FailureKind::stopped, "", ""});
      outbox_.add_result(batch.call, item, started, started, true, run.result);
      continue;
    }
    const bool well = run_item(batch, message, code, arguments, started, group ? &*group : nullptr);
    if (outputs != nullptr) take_printed(batch.call, item);
    const std::int64_t completed = settings_.clock.now();
    if (well && code.thunk->fold != nullptr) {
      run.folded_items.push_back({item, started, completed});
    } else {
      if (!run.folded_items.empty()) fail_fold(batch.call, code);
      if (well && batch.keep) cache_result(batch);
      outbox_.add_result(batch.call, item, started, completed, !well, run.result);
    }
    if (batch.communicator) settle(*group, well);
    if (group) group->end_item();
    started = completed;
    if (!loop_.look_due(completed)) continue;
    end_fold(batch.call, code);
    look(completed);
    if (end_.client_failed() && batch.team == 0) break;
    outbox_.close_results();
    started = settings_.clock.now();
  }
  end_fold(batch.call, code);
  if (outputs != nullptr) outputs->end(std::move(of_waiting));
  run.end = 0;
  run.team = 0;
  if (code.object.use_count() == 1) left_.push_back(std::move(code.object));
}

// Whether the item went well; what it gave, or why it failed, is in its result.
bool Engine::run_item(const wire::Batch& batch, InMessage& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                      Group* group) {
  ItemRun& run = *runs_;
  if (run.stop_source) run.stop_source.reset();
  run.told_overdue = false;
  run.began = started;
  if (settings_.chaos != nullptr) settings_.chaos->strike();
  // An isolated one is killed when its time is over.
  run.deadline = batch.timeout != 0 && !batch.isolated ? started + batch.timeout : 0;
  show();
  bool well = true;
  try {
    if (batch.communicator) {
      const EngineLock::Lent lent(lock_);
      group->prepare();
    }
    if (code.thunk == nullptr) code = code_of(batch);
    run.result.flat = batch.flat;
    if (code.predicate != nullptr && !accepted(code)) {
      fail_run({wire::FailureKind::refused, "", ""});
      well = false;
    } else if (batch.isolated) {
      well = run_isolated(batch, message, arguments);
    } else {
      // What comes too late is not folded, and whether it does is seen with the lock.
      const bool folds_at_once = code.thunk->fold != nullptr && batch.timeout == 0;
      run_task(message, code, arguments, batch.flat, group, folds_at_once);
      if (code.thunk->fold != nullptr && !folds_at_once && in_time(batch)) fold(code, code.thunk->fold);
    }
    if (batch.first_only && group->index() != 0) run.result.rewind({0, 0, 0});
  } catch (...) {
    fail_run(describe_current_exception());
    well = false;
    if (group != nullptr) {
      const EngineLock::Lent lent(lock_);
      group->refuse();
    }
  }
  if (well && !in_time(batch)) {
    RANKVIEW_MARK(ended_too_late);
    fail_run({wire::FailureKind::timed_out, "", ""});
    well = false;
  }
  runs_.end_deadline();
  run.result.flat = false;
  return well;
}

// Before the result of an item goes what it has printed.
void Engine::take_printed(std::uint64_t call, std::uint64_t item) {
  capture::Texts printed;
  {
    // Whoever reads what this process prints may be slow.
    const EngineLock::Lent lent(lock_);
    if (!settings_.outputs->any()) return;
    printed = settings_.outputs->take();
  }
  tell_printed(call, item, printed);
}

void Engine::tell_printed(std::uint64_t call, std::uint64_t item, const capture::Texts& printed) {
  if (printed.empty()) return;
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  outbox_.write(wire::Printed{call, item, bytes(printed.out), bytes(printed.err)});
}

// What was to be run together with an engine that has died.
void Engine::fail_batch(const wire::Batch& batch) {
  RANKVIEW_MARK(batch_of_broken_team);
  const std::int64_t now = settings_.clock.now();
  for (std::uint64_t item = batch.first; item < batch.first + batch.count; ++item) {
    fail_run({wire::FailureKind::team_broken, "", ""});
    outbox_.add_result(batch.call, item, now, now, true, runs_->result);
  }
  outbox_.flush();
}

// Whether one of a team has died, for who waits for it without the lock.
bool Engine::team_broken(std::uint64_t team) {
  if (!settings_.progress_thread) {
    const std::lock_guard held(lock_);
    outbox_.endpoint().poll(*this);
  }
  if (!teams_.any_broken()) return false;
  const std::lock_guard held(lock_);
  return teams_.broken(team);
}

// Whether the task may run here.
bool Engine::accepted(const Code& code) {
  return without_lock([&code] { return code.predicate(); });
}

void Engine::run_task(InMessage& message, const Code& code, std::span<const std::byte> bytes, bool flat, detail::Group* group, bool folds) {
  detail::Claims claims(message.attachment_sizes);
  detail::Reader arguments(bytes, &claims);
  arguments.flat() = flat;
  Running running(*this, &message, code, arguments, claims, group);
  without_lock([&] {
    code.thunk->run(running);
    if (folds) code.thunk->fold(running);
  });
  runs_->result_type = running.result_type;
}

// Has the thunk do something with what has been folded.
void Engine::fold(const Code& code, void (*step)(detail::Invocation&)) {
  detail::Claims none({});
  detail::Reader nothing({}, &none);
  Running running(*this, nullptr, code, nothing, none, nullptr);
  without_lock([&] { step(running); });
}

// The result says why the item failed.
void Engine::fail_run(const wire::Failure& failure) {
  for (auto& kept : runs_->result.kept) left_.push_back(std::move(kept));
  runs_->result.rewind({0, 0, 0});
  wire::write(runs_->result, failure);
}

// Tells the others that run the item how it ended here.
void Engine::settle(Group& group, bool well) {
  if (!well) outbox_.flush();  // others may be in MPI for good
  // Others may want something of this engine before they come.
  const EngineLock::Lent lent(lock_);
  group.settle(!well, [this] {
    const std::lock_guard held(lock_);
    outbox_.flush();
  });
}

void Engine::cache_result(const wire::Batch& batch) {
  for (auto& evicted : cache_.add(batch.call, runs_->result, runs_->result_type)) left_.push_back(std::move(evicted.value));
}

// What belongs to the next item of a batch.
std::span<const std::byte> Engine::next_arguments(wire::ItemCursor& items) const {
  try {
    return items.next();
  } catch (const DecodeError& error) {
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a batch it cannot read: " + wire::error_text(error));
  }
}

Engine::Code Engine::code_of(const wire::Batch& batch) {
  Code code;
  if (batch.predicate != wire::CodeAddress{})
    code.predicate = reinterpret_cast<bool (*)()>(const_cast<void*>(detail::local_address(batch.predicate)));
  if (batch.function != wire::CodeAddress{}) code.function = detail::local_address(batch.function);
  const auto* thunk = static_cast<const detail::Thunk*>(detail::local_address(batch.thunk));
  if (batch.has_object && !batch.isolated) {
    CallableStates::State* state = callables_.find(batch.call);
    if (state == nullptr) throw DecodeError("a task of call " + std::to_string(batch.call) + " came without its callable");
    if (state->object == nullptr) {
      // Meanwhile the call may end, if its task has run out of time.
      const std::shared_ptr<InMessage> message = state->message;
      detail::Reader in(state->bytes);
      code.object = without_lock([&] { return thunk->load(in); });
      state = callables_.find(batch.call);
      if (state != nullptr) state->object = code.object;
    } else {
      code.object = state->object;
    }
  }
  code.thunk = thunk;
  return code;
}

// ---- when the item has to stop -----------------------------------------------------------------------------------------------

// Below MPI_THREAD_MULTIPLE there is no progress thread to receive the request.
bool Engine::stop_requested() {
  if (!settings_.progress_thread && on_own_thread()) {
    outbox_.endpoint().poll(*this);
    if (lock_.try_lock()) {
      std::stop_source due = runs_.due_stop(settings_.clock);
      lock_.unlock();
      due.request_stop();
    }
  }
  return runs_.stop_due(settings_.clock);
}

std::stop_token Engine::stop_token() {
  std::stop_token token;
  std::stop_source due(std::nostopstate);
  {
    const std::lock_guard held(lock_);
    if (!runs_->stop_source) runs_->stop_source.emplace();
    token = runs_->stop_source->get_token();
    due = runs_.due_stop(settings_.clock);
  }
  due.request_stop();
  return token;
}

// Sent at once, unless something was a moment ago: then the progress thread does it. Without one, only the task's own thread may.
void Engine::publish(std::string_view name, const char* type, std::span<const std::byte> value) {
  const bool own_thread = on_own_thread();
  {
    const std::lock_guard held(lock_);
    outbox_.write(wire::Published{runs_->call, runs_->item, std::string(name), type, value});
    if (settings_.progress_thread) {
      outbox_.flush_published(settings_.clock.now());
    } else if (own_thread) {
      outbox_.flush();
    }
  }
  if (!settings_.progress_thread && own_thread) static_cast<void>(stop_requested());
}

bool Engine::on_own_thread() const { return loop_.in_this_thread(); }

}  // namespace rankview::engine
