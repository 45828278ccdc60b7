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

// Whether it went well; what it gave, or why it failed, is in its result.
bool Engine::run_isolated(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments) {
  isolation::Runner* const runner = batch.forked ? settings_.in_fork : settings_.in_process;
  if (runner == nullptr)
    throw UsageError(
        "isolation = rv::process needs a process that was made before MPI was initialised, and there is none: start the program with "
        "rv::run(), or use rv::fork");
  isolation::Task task;
  task.thunk = batch.thunk;
  task.function = batch.function;
  task.flat = batch.flat;
  task.engine = settings_.id;
  task.engines = settings_.size;
  task.timeout = batch.timeout;
  task.memory_limit = batch.memory_limit;
  task.arguments = arguments;
  std::shared_ptr<InMessage> of_object;
  if (batch.has_object) {
    const CallableStates::State* const state = callables_.find(batch.call);
    if (state == nullptr) throw DecodeError("a task of call " + std::to_string(batch.call) + " came without its callable");
    of_object = state->message;
    task.has_object = true;
    task.object = state->bytes;
  }
  std::vector<std::vector<std::byte>> attachments;
  std::vector<detail::Claims::Place> places;
  for (const std::uint64_t size : message.attachment_sizes) {
    std::vector<std::byte>& attachment = attachments.emplace_back(size);
    places.push_back({attachment.data(), attachment.size()});
  }
  if (!message.received) receive(message, places);
  for (const auto& attachment : attachments) task.attachments.emplace_back(attachment);

  isolation::Outcome outcome;
  {
    // What has been done before is not to wait for it.
    outbox_.flush();
    Watching watching(*this);
    const EngineLock::Lent lent(lock_);
    outcome = runner->run(task, watching);
  }
  switch (outcome.kind) {
    case isolation::Outcome::Kind::value: {
      detail::Writer& result = run_->result;
      result.raw(outcome.bytes.data(), outcome.bytes.size());
      const auto kept = std::make_shared<const std::vector<std::vector<std::byte>>>(std::move(outcome.attachments));
      for (const std::vector<std::byte>& attachment : *kept) result.attachments.push_back({attachment.data(), attachment.size()});
      if (!kept->empty()) result.kept.push_back(kept);
      return true;
    }
    case isolation::Outcome::Kind::timed_out:
      fail_run({wire::FailureKind::timed_out, "", ""});
      return false;
    case isolation::Outcome::Kind::aborted:
      fail_run({wire::FailureKind::killed, "", ""});
      return false;
    case isolation::Outcome::Kind::failed:
      break;
  }
  fail_run(outcome.failure);
  return false;
}

}  // namespace rankview::engine
