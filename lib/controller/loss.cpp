// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

// What follows when engines die.
namespace rankview::inline abi_0_1::detail {
namespace {

// Runs what the client wants done when an engine is lost.
class Telling final : public Continuation {
 public:
  Telling(std::vector<std::function<void(const LostEngine&)>> listeners, LostEngine lost)
      : listeners_(std::move(listeners)), lost_(std::move(lost)) {}

  void run() noexcept override {
    // What it throws ends the program, as in any thread.
    for (const auto& listener : listeners_) listener(lost_);
  }

 private:
  std::vector<std::function<void(const LostEngine&)>> listeners_;
  LostEngine lost_;
};

}  // namespace

// What the dead have said before comes first: their results count.
void Controller::hear_signs() {
  constexpr int flood = 10'000;
  for (int i = 0; i < flood && endpoint_.poll(*this); ++i) continue;
  for (const liveness::Sign& sign : settings_.signs->take()) {
    const int engine = engines_.by_peer(sign.peer);
    if (sign.kind == liveness::Sign::Kind::died) lose(engine, sign);
  }
  advance();
}

void Controller::lose(int engine, const liveness::Sign& sign) {
  const int peer = engines_[engine].peer;
  if (!engines_.lose(engine)) return;
  LostEngine& lost = losses_.note(engine, sign, false);
  if (!any_lost_.exchange(true) && !settings_.ends_with_an_engine.empty())
    std::fprintf(stderr, "rankview: %s; %s\n", losses_.describe(engine).c_str(), settings_.ends_with_an_engine.c_str());
  endpoint_.forget(peer);
  transfers_.forget(peer);
  retries_.forget_expired(engine);
  for (const int other : engines_.live()) {
    if (!engines_.has_left(other)) wire::write(engines_.to(other), wire::Lost{engine});
  }
  forget_results_on(engine);

  const auto gone = queue_.scheduler().lose_engine(engine);
  std::vector<TaskId> had;
  const auto add = [&](std::uint64_t number, std::uint64_t item) {
    const Call* const call = calls_.find(number);
    if (call == nullptr || item >= call->life().items.size()) return;
    const ItemRecord& record = call->life().items[item];
    if (record.status == Status::handed_out && record.engine == engine) had.push_back({number, item});
  };
  for (const scheduler::Range& range : gone.in_hand) {
    for (std::uint64_t item = range.begin; item < range.end; ++item) add(range.call, item);
  }
  const std::string death = losses_.describe(engine);
  // Who could not tell what it ran, ran one of these.
  const bool known = sign.task.call != 0 || had.size() == 1;
  bool blamed = false;
  for (const TaskId& task : had) {
    Call& call = *calls_.find(task.call);
    bool ran = sign.task.call != 0 ? task == sign.task : had.size() == 1;
    if (!known && !blamed) ran = controller::RetryPolicy::suspect(call, task.item);
    blamed = blamed || ran;
    lose_item(call, task.item, engine, ran, !known, death, lost);
  }
  // Their values were on the way.
  for (const TaskId& task : transfers_.take_lost()) {
    if (Call* const call = calls_.find(task.call)) lose_item(*call, task.item, engine, false, false, death, lost);
  }
  for (const scheduler::Range& range : gone.stranded) strand(range, engine);
  if (settings_.recorder != nullptr) settings_.recorder->engine_lost(lost);
  if (!losses_.listeners().empty()) continuations_.add(std::make_shared<Telling>(losses_.listeners(), lost));
}

// A task that the engine had and has not ended.
void Controller::lose_item(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost) {
  if (call.life().items[item].status != Status::handed_out) return;
  const TaskId task{call.id, item};
  // What its task has submitted is nobody's any more.
  const auto& subtasks = *call.life().more->subtasks;
  for (auto at = subtasks.lower_bound({item, 0}); at != subtasks.end() && at->first == item;) {
    Call* const subtask = calls_.find((at++)->second);
    if (subtask != nullptr) mark_aborted(*subtask);
  }
  if (given_up(call, item)) {
    ledger_.ended(call, item, Status::aborted, task_aborted(task, "aborted while it ran, and its engine has died"));
    return;
  }
  const bool elsewhere = call.spread == Spread::pool && run_.open();
  const auto verdict = controller::Losses::judge(call, item, ran, suspect, death);
  if (elsewhere && verdict == controller::Losses::Verdict::rerun) {
    ++lost.rerun;
    ledger_.failed(call, item);
    resubmit(call, item);
    return;
  }
  ++lost.failed;
  std::string why;
  if (!elsewhere) {
    why = "the task was for that engine";
  } else if (call.life().terms->on_engine_death == OnEngineDeath::fail) {
    why = "the task may have begun there, and its flags say that it is not to be run again (on_engine_death)";
  } else {
    why = "engines that have died of this task: " + std::to_string(call.life().terms->crash_limit) + " (crash_limit)" +
          controller::RetryPolicy::list_deaths(call, item);
  }
  ledger_.ended(call, item, Status::failed, losses_.error(engine, task, why));
}

// Items that wait, and that nobody is left to run where they stood in a queue.
void Controller::strand(const scheduler::Range& range, int engine) {
  Call* const call = calls_.find(range.call);
  if (call == nullptr) return;
  for (std::uint64_t item = range.begin; item < range.end; ++item) {
    if (call->life().items[item].status != Status::waiting) continue;
    const bool was_bound = call->life().more->deferred.placed >= 0;
    if (was_bound && call->spread == Spread::pool) {
      resubmit(*call, item);
    } else {
      const int missing = engine >= 0 ? engine : missing_engine(*call, item);
      ledger_.ended(*call, item, Status::failed, losses_.error(missing, {call->id, item}, "nobody is left to run the task"));
    }
  }
}

// What could not be put into any queue, since who was to run it has died.
void Controller::settle_strays() {
  for (const scheduler::Range& range : queue_.take_stranded()) strand(range, -1);
  for (const TaskId& task : dispatcher_.take_orphans()) {
    Call* const call = calls_.find(task.call);
    if (call != nullptr && call->life().items[task.item].status == Status::waiting) resubmit(*call, task.item);
  }
  for (const TaskId& task : transfers_.take_lost()) {
    Call* const call = calls_.find(task.call);
    if (call == nullptr) continue;
    const int engine = call->life().items[task.item].engine;
    LostEngine& lost = losses_.at(engine);
    lose_item(*call, task.item, engine, false, false, losses_.describe(engine), lost);
  }
}

// An engine that an item was for and that has died.
int Controller::missing_engine(const Call& call, std::uint64_t item) const {
  if (!in_pool(call) && engines_.lost(call.engines[item])) return call.engines[item];
  const auto dead = std::find_if(call.engines.begin(), call.engines.end(), [this](int id) { return engines_.lost(id); });
  return dead != call.engines.end() ? *dead : losses_.list().back().engine;
}

// Long results that it has kept are on rank 0 as well, and come from there.
void Controller::forget_results_on(int engine) {
  calls_.for_each_known([engine](Call& call) {
    if (call.life().cached_on == engine) call.life().cached_on = -1;
  });
}

}  // namespace rankview::detail
