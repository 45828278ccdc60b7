// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {

void Dependency::add(const Dependency& more) { tasks_.insert(tasks_.end(), more.tasks_.begin(), more.tasks_.end()); }

}  // namespace rankview

// Calls that wait for others: what they wait for is looked up when they are submitted; when it is decided, they are placed or fail.
namespace rankview::inline abi_0_1::detail {

using Need = scheduler::Dependencies::Need;

Call& Controller::resolve(const Prerequisite& prerequisite) {
  const TaskId& task = prerequisite.task;
  Call* const call = prerequisite.call ? &*prerequisite.call : calls_.find(task.call);
  if (call == nullptr)
    throw InvalidDependency("a dependency on task " + to_string(task) +
                            ", which is not known: no such task was submitted in this run, or it has ended and nobody keeps its result");
  if (call->controller.get() != this) throw InvalidDependency("a dependency on a result of another run");
  if (!call->laid_out) throw InvalidDependency("a dependency on call " + std::to_string(call->id) + ", which is still being submitted");
  if (task.item != Prerequisite::every && task.item >= call->items.size())
    throw InvalidDependency("a dependency on task " + to_string(task) + ": that call has " + std::to_string(call->items.size()) + " tasks");
  return *call;
}

// Adds what the dependency names: what has ended counts, the rest is expected.
void Controller::count(const Dependency& dependency, Waiting& waiting, Need need) {
  if (!dependency.empty() && !dependency.success && !dependency.failure)
    throw UsageError("a dependency for which neither success nor failure counts can never be met");
  const auto count_item = [&](Call& call, std::uint64_t item) {
    const ItemRecord& record = call.items[item];
    const bool ended = has_ended(record.status) && call.sealed;
    const bool well = record.status == Status::completed;
    if (need == Need::follow) {
      waiting.needs.follow->expect(1);
      if (ended) waiting.needs.follow->ended(record.engine, well);
    } else {
      scheduler::After& after = need == Need::after ? waiting.needs.after : waiting.needs.arguments;
      after.expect(1);
      if (ended) after.ended(well);
    }
    if (ended && !(well ? dependency.success : dependency.failure)) waiting.bad = {call.id, item};
    return ended;
  };
  for (const Prerequisite& prerequisite : dependency.tasks()) {
    const CallSlot* const slot = prerequisite.call.slot();
    if (slot != nullptr && slot->run == run_ && slot->well && prerequisite.task.item == Prerequisite::every && need != Need::follow &&
        !dependency.failure) {
      scheduler::After& after = need == Need::after ? waiting.needs.after : waiting.needs.arguments;
      after.expect(1);
      after.ended(true);
      continue;
    }
    Call& call = resolve(prerequisite);
    // Somebody cares how it fails.
    if (dependency.failure) call.error_seen = true;
    const std::uint64_t item = prerequisite.task.item;
    if (item != Prerequisite::every) {
      if (!count_item(call, item)) waiting.open.push_back({&call, item, need});
      continue;
    }
    std::uint64_t ended = 0;
    for (std::uint64_t i = 0; i < call.items.size(); ++i) ended += count_item(call, i) ? 1 : 0;
    if (ended != call.items.size()) waiting.open.push_back({&call, scheduler::Dependencies::every, need});
  }
}

// What a call is to wait for. Throws InvalidDependency.
Controller::Waiting Controller::look_up(Call& call) {
  const Dependency* const after = std::exchange(call.after, nullptr);
  const Dependency* const follow = std::exchange(call.follow, nullptr);
  Waiting waiting;
  if (after != nullptr && !after->empty()) {
    waiting.needs.after = scheduler::After({after->all, after->success, after->failure});
    count(*after, waiting, Need::after);
  }
  if (!call.more->deferred.arguments.empty()) {
    waiting.encoding = true;
    count(call.more->deferred.arguments, waiting, Need::argument);
  }
  if (follow != nullptr && !follow->empty()) {
    waiting.needs.follow.emplace(scheduler::Rule{follow->all, follow->success, follow->failure}, call.engines);
    count(*follow, waiting, Need::follow);
  }
  return waiting;
}

void Controller::wait_for(Call& call, Waiting&& waiting) {
  call.waits = true;
  call.node = dependencies_.add(call.id);
  dependencies_.wait(call.node, std::move(waiting.needs));
  for (const Waiting::On& on : waiting.open) {
    if (on.call->node == scheduler::Dependencies::none) on.call->node = dependencies_.add(on.call->id);
    dependencies_.depend(call.node, on.call->node, on.item, on.need);
  }
  dependencies_.settle(call.node, waiting.bad.call, waiting.bad.item);
}

void Controller::tell_dependents(Call& call, std::uint64_t item) {
  const ItemRecord& record = call.items[item];
  dependencies_.ended(call.node, item, record.engine, record.status == Status::completed);
  decide();
}

// Places the calls that have waited long enough, and fails those that have waited in vain, which may decide about others in turn.
void Controller::decide() {
  if (std::exchange(deciding_, true)) return;
  while (auto decision = dependencies_.next()) {
    const Call* const waiting = find(decision->call);
    if (waiting == nullptr || !waiting->waits) continue;
    const std::shared_ptr<Call> call = waiting->self;
    if (decision->verdict == scheduler::Verdict::met) {
      release(*call, std::move(decision->engines));
    } else {
      doom(*call, {decision->cause_call, decision->cause_item});
    }
  }
  decided_.clear();
  deciding_ = false;
}

// An engine that has a long argument of the call and nothing to do, or -1. While anything waits, it may be about to be handed that.
int Controller::engine_with_arguments(const Call& call) const {
  if (!call.balanced || !call.more->teams.empty() || scheduler_.waiting() != 0) return -1;
  for (const Prerequisite& result : call.more->deferred.arguments.tasks()) {
    const int engine = result.call->kept_on;
    if (engine < 0) continue;
    const bool allowed = call.engines.empty() || std::find(call.engines.begin(), call.engines.end(), engine) != call.engines.end();
    const scheduler::Load load = scheduler_.load(engine);
    if (allowed && load.handed_out == 0 && load.waiting == 0) return engine;
  }
  return -1;
}

void Controller::release(Call& call, std::vector<int>&& engines) {
  call.waits = false;
  if (call.aborted) return;
  if (!engines.empty()) call.engines = std::move(engines);
  if (call.more->deferred.encode) {
    try {
      call.more->deferred.encode(call.blocks.front(), nullptr);
      call.more.edit().deferred.placed = engine_with_arguments(call);
    } catch (...) {
      give_up(call, Status::failed, [error = caught()](const TaskId&) { return error; });
      return;
    }
  }
  // What does not go by the number of items may begin before all are there.
  if (call.laid_out || (call.balanced && call.chunk_size == 1)) place(call);
  if (call.ended == 0) return;
  // Some were given up meanwhile.
  for (std::uint64_t item = 0; item < call.items.size(); ++item) {
    if (has_ended(call.items[item].status)) unschedule(call, item);
  }
}

// The call cannot run, because of what became of `cause`.
void Controller::doom(Call& call, const TaskId& cause) {
  call.waits = false;
  std::shared_ptr<const ImpossibleDependency::Link> because;
  Call* failed_call = calls_.find(cause.call);
  if (const auto decided = decided_.find(cause.call); failed_call == nullptr && decided != decided_.end())
    failed_call = decided->second.get();
  std::string why;
  std::string reason = "a task that it depends on failed:";
  std::shared_ptr<const ImpossibleDependency::Link> next;
  if (failed_call != nullptr) {
    if (const auto error = failed_call->errors->find(cause.item); error != failed_call->errors->end()) {
      failed_call->error_seen = true;
      try {
        std::rethrow_exception(error->second);
      } catch (const ImpossibleDependency& impossible) {
        next = impossible.because();
        if (next == nullptr) why = wire::error_text(impossible);
      } catch (...) {
        why = wire::error_text(std::current_exception());
      }
    } else if (cause.item < failed_call->items.size() && failed_call->items[cause.item].status == Status::completed) {
      reason = "it depends on a failure, or on tasks that all run where it may, and this one went well on engine " +
               std::to_string(failed_call->items[cause.item].engine) + ":";
    }
  }
  because = std::make_shared<ImpossibleDependency::Link>(cause, std::move(next), std::move(why));
  const auto error = [&](const TaskId& task) { return std::make_exception_ptr(ImpossibleDependency(task, because, reason)); };
  if (call.laid_out) {
    give_up(call, Status::failed, error);
  } else {
    call.more.edit().doomed = error({call.id, 0});
  }
}

}  // namespace rankview::detail
