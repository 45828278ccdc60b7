// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/dependency_gate.hpp"

#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <rankview/errors.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {

void Dependency::add(const Dependency& more) { tasks_.insert(tasks_.end(), more.tasks_.begin(), more.tasks_.end()); }

}  // namespace rankview

namespace rankview::controller {

using Need = scheduler::Dependencies::Need;
using detail::Call;
using detail::CallSlot;
using detail::has_ended;
using detail::ItemRecord;
using detail::Prerequisite;

Call& DependencyGate::resolve(const Prerequisite& prerequisite) const {
  const TaskId& task = prerequisite.task;
  Call* const call = prerequisite.call ? &*prerequisite.call : calls_.known(task.call);
  if (call == nullptr)
    throw InvalidDependency("a dependency on task " + to_string(task) +
                            ", which is not known: no such task was submitted in this run, or it has ended and nobody keeps its result");
  if (call->controller.get() != run_) throw InvalidDependency("a dependency on a result of another run");
  if (!call->life().laid_out)
    throw InvalidDependency("a dependency on call " + std::to_string(call->id) + ", which is still being submitted");
  if (task.item != Prerequisite::every && task.item >= call->life().items.size())
    throw InvalidDependency("a dependency on task " + to_string(task) + ": that call has " + std::to_string(call->life().items.size()) +
                            " tasks");
  return *call;
}

// Adds what the dependency names: what has ended counts, the rest is expected.
void DependencyGate::count(const Dependency& dependency, Waiting& waiting, Need need) const {
  if (!dependency.empty() && !dependency.success && !dependency.failure)
    throw UsageError("a dependency for which neither success nor failure counts can never be met");
  const auto count_item = [&](Call& call, std::uint64_t item) {
    const ItemRecord& record = call.life().items[item];
    const bool ended = has_ended(record.status) && call.life().sealed;
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
    if (slot != nullptr && slot->run == calls_.run() && slot->well && prerequisite.task.item == Prerequisite::every &&
        need != Need::follow && !dependency.failure) {
      scheduler::After& after = need == Need::after ? waiting.needs.after : waiting.needs.arguments;
      after.expect(1);
      after.ended(true);
      continue;
    }
    Call& call = resolve(prerequisite);
    // Somebody cares how it fails.
    if (dependency.failure) call.life().error_seen = true;
    const std::uint64_t item = prerequisite.task.item;
    if (item != Prerequisite::every) {
      if (!count_item(call, item)) waiting.open.push_back({&call, item, need});
      continue;
    }
    std::uint64_t ended = 0;
    for (std::uint64_t i = 0; i < call.life().items.size(); ++i) ended += count_item(call, i) ? 1 : 0;
    if (ended != call.life().items.size()) waiting.open.push_back({&call, scheduler::Dependencies::every, need});
  }
}

DependencyGate::Waiting DependencyGate::look_up(Call& call) const {
  const Dependency* const after = std::exchange(call.after, nullptr);
  const Dependency* const follow = std::exchange(call.follow, nullptr);
  Waiting waiting;
  if (after != nullptr && !after->empty()) {
    waiting.needs.after = scheduler::After({after->all, after->success, after->failure});
    count(*after, waiting, Need::after);
  }
  if (!call.life().more->deferred.arguments.empty()) {
    waiting.takes_arguments = true;
    count(call.life().more->deferred.arguments, waiting, Need::argument);
  }
  if (follow != nullptr && !follow->empty()) {
    waiting.needs.follow.emplace(scheduler::Rule{follow->all, follow->success, follow->failure}, call.engines);
    count(*follow, waiting, Need::follow);
  }
  return waiting;
}

void DependencyGate::hold(Call& call, Waiting&& waiting) {
  call.life().waits = true;
  call.life().node = dependencies_.add(call.id);
  dependencies_.wait(call.life().node, std::move(waiting.needs));
  for (const Waiting::On& on : waiting.open) {
    if (on.call->life().node == scheduler::Dependencies::none) on.call->life().node = dependencies_.add(on.call->id);
    dependencies_.depend(call.life().node, on.call->life().node, on.item, on.need);
  }
  dependencies_.settle(call.life().node, waiting.bad.call, waiting.bad.item);
}

void DependencyGate::ended(const Call& call, std::uint64_t item) {
  if (call.life().node == scheduler::Dependencies::none) return;
  const ItemRecord& record = call.life().items[item];
  dependencies_.ended(call.life().node, item, record.engine, record.status == Status::completed);
}

void DependencyGate::forget(Call& call) {
  if (call.life().node != scheduler::Dependencies::none)
    dependencies_.remove(std::exchange(call.life().node, scheduler::Dependencies::none));
}

DependencyGate::Decision DependencyGate::next() {
  auto decision = dependencies_.next();
  Call* const call = decision ? calls_.find(decision->call) : nullptr;
  if (call == nullptr || !std::exchange(call->life().waits, false)) return {};
  return {call, decision->verdict == scheduler::Verdict::met, std::move(decision->engines), {decision->cause_call, decision->cause_item}};
}

std::function<std::exception_ptr(const TaskId&)> DependencyGate::impossible(const TaskId& cause) const {
  Call* const failed_call = calls_.known(cause.call);
  std::string why;
  std::string reason = "a task that it depends on failed:";
  std::shared_ptr<const ImpossibleDependency::Link> next;
  if (failed_call != nullptr) {
    if (const auto error = failed_call->life().errors->find(cause.item); error != failed_call->life().errors->end()) {
      failed_call->life().error_seen = true;
      try {
        std::rethrow_exception(error->second);
      } catch (const ImpossibleDependency& impossible) {
        next = impossible.because();
      } catch (...) {
        // What it says is told below.
      }
      if (next == nullptr) why = detail::text_of(*failed_call, error->second);
    } else if (cause.item < failed_call->life().items.size() && failed_call->life().items[cause.item].status == Status::completed) {
      reason = "it depends on a failure, or on tasks that all run where it may, and this one went well on engine " +
               std::to_string(failed_call->life().items[cause.item].engine) + ":";
    }
  }
  auto because = std::make_shared<const ImpossibleDependency::Link>(cause, std::move(next), std::move(why));
  return [because = std::move(because), reason = std::move(reason)](const TaskId& task) {
    return std::make_exception_ptr(ImpossibleDependency(task, because, reason));
  };
}

}  // namespace rankview::controller
