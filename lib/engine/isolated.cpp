// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <rankview/errors.hpp>

#include <memory>
#include <utility>
#include <vector>

// Items that run in a process of their own.
namespace rankview::engine {

class Engine::Watching final : public isolation::Watcher {
 public:
  explicit Watching(Engine& engine) : engine_(engine) {}

  [[nodiscard]] bool stop_requested() override { return engine_.stop_requested(); }
  void published(std::string_view name, const char* type, std::span<const std::byte> value) override { engine_.publish(name, type, value); }

 private:
  Engine& engine_;
};

// What the task refers to stays as long as `of_object` and `attachments`, and the message.
isolation::Task Engine::isolated_task(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments,
                                      std::shared_ptr<InMessage>& of_object, std::vector<std::vector<std::byte>>& attachments) {
  isolation::Task task;
  task.thunk = batch.thunk;
  task.function = batch.function;
  task.flat = batch.flat;
  task.engine = settings_.id;
  task.engines = settings_.size;
  task.timeout = batch.timeout;
  task.memory_limit = batch.memory_limit;
  task.capture = settings_.capture;
  task.arguments = arguments;
  if (batch.has_object) {
    const CallableStates::State* const state = callables_.find(batch.call);
    if (state == nullptr) throw DecodeError("a task of call " + std::to_string(batch.call) + " came without its callable");
    of_object = state->message;
    task.has_object = true;
    task.object = state->bytes;
  }
  std::vector<detail::Claims::Place> places;
  for (const std::uint64_t size : message.attachment_sizes) {
    std::vector<std::byte>& attachment = attachments.emplace_back(size);
    places.push_back({attachment.data(), attachment.size()});
  }
  if (!message.received) receive(message, places);
  for (const auto& attachment : attachments) task.attachments.emplace_back(attachment);
  return task;
}

// Whether it went well; what it gave, or why it failed, is in its result.
bool Engine::run_isolated(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments) {
  isolation::Runner* const runner = batch.forked ? settings_.in_fork : settings_.in_process;
  if (runner == nullptr) throw UsageError(isolation::no_server);
  std::shared_ptr<InMessage> of_object;
  std::vector<std::vector<std::byte>> attachments;
  const isolation::Task task = isolated_task(batch, message, arguments, of_object, attachments);
  isolation::Outcome outcome;
  {
    // What has been done before is not to wait for it.
    outbox_.flush();
    Watching watching(*this);
    const EngineLock::Lent lent(lock_);
    outcome = runner->run(task, watching);
  }
  tell_printed(runs_->call, runs_->item, outcome.printed);
  return take_outcome(std::move(outcome), runs_->result);
}

// Puts into an empty result what it gave, or why it failed. Whether it went well.
bool Engine::take_outcome(isolation::Outcome outcome, detail::Writer& result) {
  using Kind = isolation::Outcome::Kind;
  if (outcome.kind != Kind::value) {
    if (outcome.kind == Kind::timed_out) outcome.failure = {wire::FailureKind::timed_out, "", ""};
    if (outcome.kind == Kind::aborted) outcome.failure = {wire::FailureKind::killed, "", ""};
    wire::write(result, outcome.failure);
    return false;
  }
  result.raw(outcome.bytes.data(), outcome.bytes.size());
  const auto kept = std::make_shared<const std::vector<std::vector<std::byte>>>(std::move(outcome.attachments));
  for (const std::vector<std::byte>& attachment : *kept) result.attachments.push_back({attachment.data(), attachment.size()});
  if (!kept->empty()) result.kept.push_back(kept);
  return true;
}

}  // namespace rankview::engine
