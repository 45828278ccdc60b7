// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/outputs.hpp"
#include "engine/callable_states.hpp"
#include "engine/current.hpp"
#include "engine/deliveries.hpp"
#include "engine/engine_lock.hpp"
#include "engine/failure.hpp"
#include "engine/inbox.hpp"
#include "engine/loop.hpp"
#include "engine/memory_report.hpp"
#include "engine/outbox.hpp"
#include "engine/progress_thread.hpp"
#include "engine/result_cache.hpp"
#include "engine/run_end.hpp"
#include "engine/runs.hpp"
#include "engine/slot_runs.hpp"
#include "engine/subtask_results.hpp"
#include "engine/task_host.hpp"
#include "engine/teams.hpp"
#include "isolation/runner.hpp"
#include "isolation/slots.hpp"
#include "liveness/chaos.hpp"
#include "transport/clock.hpp"
#include "transport/endpoint.hpp"
#include "transport/idle.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/callable.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/variables.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview::engine {

class Group;

struct Settings {
  int id = 0;
  int size = 1;
  transport::IdleLimits idle;
  transport::Clock clock;
  // Whether the process does nothing but serve, so that any thread of it belongs to a task.
  bool own_process = true;
  // Whether a second thread may use the endpoint while a task runs.
  bool progress_thread = false;
  // After the client has failed, so long may the running task go on before the process is ended.
  std::chrono::milliseconds grace{10'000};
  // After another engine of its team has died, so long may a task go on that may wait in MPI for it.
  std::chrono::milliseconds team_grace{60'000};
  // What runs isolated tasks: in a child of a process made before MPI was, null where there is none, and in one of this process.
  isolation::Runner* in_process = nullptr;
  isolation::Runner* in_fork = nullptr;
  // What runs them side by side, null where there is one slot.
  isolation::Slots* slots = nullptr;
  // What takes what tasks print, null where nobody does, and on what terms, those of isolated ones too.
  capture::Outputs* outputs = nullptr;
  capture::Terms capture;
  // Strikes before each task, null where nobody rehearses.
  liveness::Chaos* chaos = nullptr;
};

// Runs what the controller sends, one task after the other, and keeps the variables.
//
// The progress thread does for a long task what the loop does between short ones: sends finished results, receives messages, and ends the
// process when the client has failed and the task does not stop. Which of the two may touch what is here is settled by the lock.
class Engine final : public TaskHost, private transport::FrameHandler {
 public:
  Engine(const Settings& settings, Variables& variables);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() override = default;

  // Serves until the controller says that it is over; returns how it ended.
  wire::End serve(transport::Endpoint& endpoint);

  // What it does, in a line of text; from any thread, and soon, whatever the others do.
  [[nodiscard]] std::string describe();

  // What the running task asks; see TaskHost.
  [[nodiscard]] int id() const override { return settings_.id; }
  [[nodiscard]] int size() const override { return settings_.size; }
  Variables& variables() override { return variables_; }
  [[nodiscard]] TaskId running() const override { return runs_->end == 0 ? TaskId{} : TaskId{runs_->call, runs_->item}; }
  [[nodiscard]] bool stop_requested() override;
  [[nodiscard]] std::stop_token stop_token() override;
  void publish(std::string_view name, const char* type, std::span<const std::byte> value) override;
  std::uint64_t submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) override;
  [[nodiscard]] bool answered(std::uint64_t ticket) override;
  std::vector<std::byte> await(std::uint64_t ticket) override;
  void forget(std::uint64_t ticket) override;
  [[nodiscard]] std::shared_ptr<const void> cached(std::uint64_t call, const std::type_info& type) const override;
  std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t ticket) override;
  [[nodiscard]] bool on_own_thread() const override;
  void withhold() override { lock_.withhold(); }

 private:
  class Running;
  class Arrival;
  class Nested;
  class Watching;

  // What runs the items of a batch, as found in this process.
  struct Code {
    const detail::Thunk* thunk = nullptr;
    const void* function = nullptr;
    std::shared_ptr<const void> object;  // the call may be over for the client while its task still runs
    bool (*predicate)() = nullptr;
  };

  // The loop.
  bool carry_out_next();
  void join(const wire::Join& join);
  void done_with(const wire::Batch& batch, InMessage& message);
  void poll_or_nap(transport::Idle& idle);
  void look(std::int64_t now);
  void report_memory();
  void leave();
  // What is the user's and nobody needs any more: its destructors may want something of the engine.
  void let_go() {
    if (!left_.empty() || inbox_.anything_left() || outbox_.endpoint().anything_sent()) destroy_left();
  }
  void destroy_left();
  void beat();
  [[nodiscard]] std::string describe_runs() const;

  // What rank 0 and other engines say.
  void on_frame(transport::Frame& frame) override;
  void on_record(const wire::Record& record, const std::shared_ptr<InMessage>& message);
  void on_batch(const wire::Batch& batch, const std::shared_ptr<InMessage>& message);
  void on_end(const wire::End& end);
  void on_lost(const wire::Lost& lost);

  // Runs code of the user's without the lock, and has what it throws described and destroyed there as well: throws Described instead.
  template <class Run>
  auto without_lock(Run run) {
    std::optional<wire::Failure> failure;
    {
      const EngineLock::Lent lent(lock_);
      try {
        return run();
      } catch (...) {
        failure = describe_current_exception();
      }
    }
    throw Described{std::move(*failure)};
  }

  // Running the items of a batch.
  void run(const wire::Batch& batch, InMessage& message, std::uint64_t number);
  bool run_item(const wire::Batch& batch, InMessage& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                Group* group);
  void run_task(InMessage& message, const Code& code, std::span<const std::byte> bytes, bool flat, detail::Group* group, bool folds);
  bool run_isolated(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments);
  [[nodiscard]] isolation::Task isolated_task(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments,
                                              std::shared_ptr<InMessage>& of_object, std::vector<std::vector<std::byte>>& attachments);
  static bool take_outcome(isolation::Outcome outcome, detail::Writer& result);
  void fail_run(const wire::Failure& failure);
  void take_printed(std::uint64_t call, std::uint64_t item);
  void tell_printed(std::uint64_t call, std::uint64_t item, const capture::Texts& printed);

  // Running isolated items side by side.
  [[nodiscard]] bool may_begin(const Inbox::Command& command) const;
  void run_beside(Inbox::Command command);
  void begin_next(const std::shared_ptr<SlotRun>& run);
  bool begin_in_slot(const std::shared_ptr<SlotRun>& run, std::span<const std::byte> arguments);
  void add_result_of(const SlotRun& run, bool failed, detail::Writer& result);
  bool collect();
  void settle(Group& group, bool well);
  void fail_batch(const wire::Batch& batch);
  [[nodiscard]] bool team_broken(std::uint64_t team);
  void end_if_stuck();
  bool accepted(const Code& code);
  void cache_result(const wire::Batch& batch);
  [[nodiscard]] std::span<const std::byte> next_arguments(wire::ItemCursor& items) const;
  [[nodiscard]] Code code_of(const wire::Batch& batch);
  // For every item.
  [[nodiscard]] bool in_time(const wire::Batch& batch) const {
    return batch.timeout == 0 || !(runs_->told_overdue || runs_.overdue(settings_.clock));
  }
  // What others see of the item that runs from here on.
  void show() { runs_.show(inbox_.stopped(runs_->call, runs_->item, runs_->number)); }

  // Results that are folded.
  void fold(const Code& code, void (*step)(detail::Invocation&));
  void end_fold(std::uint64_t call, const Code& code);
  void fail_fold(std::uint64_t call, const Code& code);
  void end_folded_items(std::uint64_t call, bool failed);

  // Subtasks, and results as arguments.
  void run_others_until_answered(std::uint64_t ticket);
  void tell_suspended();
  void report_unseen(std::span<const std::byte> value) const;
  void deliver(const wire::Forward& forward);
  void drop(const Deliveries::Messages& messages);
  void drop(InMessage& message);
  // Whether it came from an engine that has died.
  [[nodiscard]] bool lost(const InMessage& message) const { return teams_.dead().contains(message.frame.peer - 1); }
  void receive(InMessage& message, const std::vector<detail::Claims::Place>& places);

  Settings settings_;
  Variables& variables_;
  EngineLock lock_;
  Loop loop_;

  std::vector<std::shared_ptr<const void>> left_;  // the user's, to be destroyed by the loop where it does not have the lock
  Inbox inbox_;
  Outbox outbox_;
  CallableStates callables_;
  ResultCache cache_;
  Deliveries deliveries_;
  SubtaskResults subtasks_;
  MemoryReport memory_report_;
  Teams teams_;
  SlotRuns slot_runs_;
  Runs runs_;
  RunEnd end_;

  ProgressThread progress_thread_;  // goes first
};

}  // namespace rankview::engine
