// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <rankview/errors.hpp>

#include <memory>
#include <mutex>
#include <utility>

// Isolated items that run side by side, in slots. Whatever else the engine does it does alone, before or after.
namespace rankview::engine {

// Whether the next command can be begun beside what runs in slots.
bool Engine::may_begin(const Inbox::Command& command) const {
  return isolated(command) ? slot_runs_.size() < settings_.slots->size() : slot_runs_.size() == 0;
}

void Engine::run_beside(Inbox::Command command) {
  memory_report_.note_tasks();
  const auto published = [this](const SlotRun& run, std::string_view name, const char* type, std::span<const std::byte> value) {
    const std::lock_guard held(lock_);
    outbox_.write(wire::Published{run.batch.call, run.item, std::string(name), type, value});
  };
  begin_next(std::make_shared<SlotRun>(std::move(command), published));
}

// Begins the next item of its batch, if there is one. Those that cannot be begun end at once.
void Engine::begin_next(const std::shared_ptr<SlotRun>& run) {
  const wire::Batch& batch = run->batch;
  for (; run->item < batch.first + batch.count && !end_.client_failed(); ++run->item) {
    const auto arguments = next_arguments(run->items);
    run->began = settings_.clock.now();
    wire::Failure why_not{wire::FailureKind::stopped, "", ""};
    if (!inbox_.stopped(batch.call, run->item, run->number)) {
      try {
        if (begin_in_slot(run, arguments)) return;
        why_not.kind = wire::FailureKind::refused;
      } catch (...) {
        why_not = describe_current_exception();
      }
    }
    detail::Writer result;
    wire::write(result, why_not);
    add_result_of(*run, true, result);
  }
  done_with(batch, *run->message);
}

// False if the engine is not to run it.
bool Engine::begin_in_slot(const std::shared_ptr<SlotRun>& run, std::span<const std::byte> arguments) {
  if (settings_.chaos != nullptr) settings_.chaos->strike();
  // Where it is in the memory of this process does not matter: the child finds it by itself.
  if (run->batch.predicate != wire::CodeAddress{} && !accepted(code_of(run->batch))) return false;
  run->renew();
  run->attachments.clear();
  run->task = isolated_task(run->batch, *run->message, arguments, run->of_object, run->attachments);
  run->forked = run->batch.forked;
  slot_runs_.add(run);
  try {
    settings_.slots->start(run);
  } catch (...) {
    slot_runs_.remove(*run);
    throw;
  }
  return true;
}

// Of items that run beside each other each begins when it does, and not when the one before it has ended.
void Engine::add_result_of(const SlotRun& run, bool failed, detail::Writer& result) {
  outbox_.close_results();
  outbox_.add_result(run.batch.call, run.item, run.began, settings_.clock.now(), failed, result);
  outbox_.close_results();
}

// Takes the results of what has ended. Whether anything had.
bool Engine::collect() {
  if (settings_.slots == nullptr || !settings_.slots->any_ended()) return false;
  for (const auto& ended : settings_.slots->take_ended()) {
    const auto run = std::static_pointer_cast<SlotRun>(ended);
    slot_runs_.remove(*run);
    detail::Writer result;
    bool well = false;
    try {
      if (run->error != nullptr) std::rethrow_exception(std::exchange(run->error, nullptr));
      tell_printed(run->batch.call, run->item, run->outcome.printed);
      well = take_outcome(std::move(run->outcome), result);
    } catch (...) {
      result.rewind({0, 0, 0});
      wire::write(result, describe_current_exception());
    }
    add_result_of(*run, !well, result);
    ++run->item;
    begin_next(run);
  }
  outbox_.flush();
  return true;
}

}  // namespace rankview::engine
