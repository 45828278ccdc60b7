// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "marks/mark.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstddef>
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
  Telling(std::vector<controller::Losses::Listener> listeners, LostEngine lost)
      : listeners_(std::move(listeners)), lost_(std::move(lost)) {}

  void run() noexcept override {
    // What it throws ends the program, as in any thread.
    for (const auto& listener : listeners_) (*listener)(lost_);
  }

 private:
  std::vector<controller::Losses::Listener> listeners_;
  LostEngine lost_;
};

}  // namespace

// What the dead have said before comes first: their results count.
void Controller::hear_signs() {
  constexpr int flood = 10'000;
  for (int i = 0; i < flood && engines_.endpoint().poll(*this); ++i) continue;
  for (const liveness::Sign& sign : settings_.signs->take()) {
    const int engine = engines_.by_peer(sign.peer);
    switch (sign.kind) {
      case liveness::Sign::Kind::died:
        lose(engine, sign);
        break;
      case liveness::Sign::Kind::silent:
        run_.open() ? set_aside(engine, sign) : give_up(engine, sign);
        break;
      case liveness::Sign::Kind::answers:
        take_back(engine);
        break;
    }
  }
  advance();
}

void Controller::lose(int engine, const liveness::Sign& sign) {
  const int peer = engines_[engine].peer;
  if (!engines_.lose(engine)) return;
  const bool first = !engines_.losses().any();
  LostEngine& lost = engines_.losses().note(engine, sign, false);
  if (first && !settings_.ends_with_an_engine.empty())
    std::fprintf(stderr, "rankview: %s; %s\n", engines_.losses().describe(engine).c_str(), settings_.ends_with_an_engine.c_str());
  engines_.endpoint().forget(peer);
  transfers_.forget(peer);
  retries_.forget_expired(engine);
  // Those as well that do not answer just now, who may wait for the dead when they go on.
  for (int other = 0; other < engines_.count(); ++other) {
    if (!engines_.lost(other) && !engines_.has_left(other)) wire::write(engines_.to(other), wire::Lost{engine});
  }
  forget_results_on(engine);

  // Nobody's part in them comes about.
  for (const std::shared_ptr<Call>& call : teams_.lose(engine)) {
    RANKVIEW_MARK(root_part_lost);
    call->life().failure = engines_.losses().error(engine, {call->id, 0}, "what it did together with others has not come about");
    end_root_part(*call);
  }
  const auto gone = queue_.scheduler().lose_engine(engine);
  std::vector<TaskId> had;
  const auto add = [&](std::uint64_t number, std::uint64_t item) {
    const Call* const call = calls_.find(number);
    if (call == nullptr || item >= call->life().items.size()) return;
    const ItemRecord& record = call->life().items[item];
    const bool shared = call->spread == Spread::teams;
    if (record.status == Status::handed_out && (record.engine == engine || shared)) had.push_back({number, item});
  };
  for (const scheduler::Range& range : gone.in_hand) {
    for (std::uint64_t item = range.begin; item < range.end; ++item) add(range.call, item);
  }
  for (const TaskId& task : engines_.losses().late().lose(engine)) add(task.call, task.item);
  const std::string death = engines_.losses().describe(engine);
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
    RANKVIEW_MARK(result_lost_on_its_way);
    if (Call* const call = calls_.find(task.call)) lose_item(*call, task.item, engine, false, false, death, lost);
  }
  for (const scheduler::Range& range : gone.stranded) strand(range, engine);
  tell_lost(lost);
}

void Controller::tell_lost(const LostEngine& lost) {
  if (settings_.recorder != nullptr) settings_.recorder->engine_lost(lost);
  if (!engines_.losses().listeners().empty()) work_.continuations().add(std::make_shared<Telling>(engines_.losses().listeners(), lost));
}

// The engine does not answer: what it had others run, if they may, and what only it may run waits for it.
void Controller::set_aside(int engine, const liveness::Sign& sign) {
  if (!engines_.live(engine) || engines_.has_left(engine)) return;
  RANKVIEW_MARK(set_aside);
  engines_.set_aside(engine);
  LostEngine& lost = engines_.losses().note(engine, sign, true);
  for (const scheduler::Range& range : queue_.scheduler().set_aside(engine)) {
    Call* const call = calls_.find(range.call);
    if (call == nullptr) continue;
    const detail::Terms& terms = *call->life().terms;
    const bool elsewhere = call->spread == Spread::pool && run_.open() && terms.on_engine_death == OnEngineDeath::rerun;
    for (std::uint64_t item = range.begin; item < range.end; ++item) {
      const ItemRecord& record = call->life().items[item];
      // The first engine of a team stands for all.
      const bool there = record.status == Status::handed_out && (record.engine == engine || call->spread == Spread::teams);
      // Its arguments may just be encoded for there.
      if (record.status == Status::waiting) continue;
      engines_.losses().late().add(engine, {call->id, item}, elsewhere || !there);
      if (!there || !elsewhere) continue;
      ++lost.rerun;
      wire::write(engines_.to(engine), wire::Stop{call->id, item, 1});
      ledger_.failed(*call, item);
      resubmit(*call, item);
    }
  }
  tell_lost(lost);
}

// The run ends, and the engine does not answer: nobody waits for it any more.
void Controller::give_up(int engine, const liveness::Sign& sign) {
  if (engines_.lost(engine) || engines_.has_left(engine)) return;
  if (settings_.put_down) settings_.put_down(engines_[engine].rank);
  lose(engine, sign);
}

void Controller::take_back(int engine) {
  if (engines_.live(engine) || engines_.lost(engine)) return;
  RANKVIEW_MARK(taken_back);
  engines_.take_back(engine);
  engines_.losses().forget(engine);
  queue_.scheduler().take_back(engine);
  tell_suspended(engine);
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
    ledger_.finished(call, item, Status::aborted, task_aborted(task, "aborted while it ran, and its engine has died"));
    return;
  }
  if (call.spread == Spread::teams) {
    lose_part_of_team(call, item, engine, ran, suspect, death, lost);
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
  ledger_.ended(call, item, Status::failed,
                engines_.losses().error(engine, task, elsewhere ? why_failed(call, item) : "the task was for that engine"));
}

// Why a task that others could run is not run again.
std::string Controller::why_failed(const Call& call, std::uint64_t item) const {
  if (call.life().terms->on_engine_death == OnEngineDeath::fail)
    return "the task may have begun there, and its flags say that it is not to be run again (on_engine_death)";
  if (!run_.open()) return "the run ends";
  return "engines that have died of this task: " + std::to_string(call.life().terms->crash_limit) + " (crash_limit)" +
         controller::RetryPolicy::list_deaths(call, item);
}

// The others of the team that ran the task still have to end it, by their own deaths if they wait for this one in MPI: these are no fault
// of the task's.
void Controller::lose_part_of_team(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death,
                                   LostEngine& lost) {
  const bool failed_before = call.life().more->team_items->at(item).error != nullptr;
  const bool again =
      !failed_before && (controller::ItemLedger::is_again_behind_team(call, item) ||
                         (run_.open() && controller::Losses::judge(call, item, ran, suspect, death) == controller::Losses::Verdict::rerun));
  if (again) {
    ++lost.rerun;
    ledger_.again_behind_team(call, item);
    ledger_.finished(call, item, Status::failed, nullptr);
    return;
  }
  ++lost.failed;
  const std::string why = "others ran the task together with it; " + why_failed(call, item);
  ledger_.finished(call, item, Status::failed, engines_.losses().error(engine, {call.id, item}, why));
}

// If none is whole of the teams that may run the call's tasks, others are made of those of its view that live.
void Controller::deal_teams_anew(Call& call) {
  if (!engines_.losses().any() || somebody_left(call)) return;
  std::vector<int> live = call.engines;
  std::erase_if(live, [this](int id) { return engines_.lost(id); });
  const std::size_t size = call.life().more->teams.front().size();
  if (live.size() < size) return;
  RANKVIEW_MARK(teams_dealt_anew);
  Uncommon& more = call.life().more.edit();
  more.teams.clear();
  for (auto at = live.begin(); static_cast<std::size_t>(live.end() - at) >= size; at += static_cast<std::ptrdiff_t>(size))
    more.teams.emplace_back(at, at + static_cast<std::ptrdiff_t>(size));
  more.team_numbers.reset();
}

// Items that wait, and that nobody is left to run where they stood in a queue.
void Controller::strand(const scheduler::Range& range, int engine) {
  Call* const call = calls_.find(range.call);
  if (call == nullptr) return;
  // Rank 0 has no part in what nobody was handed.
  if (call->spread == Spread::together && call->life().team == 0) ledger_.seal(*call);
  for (std::uint64_t item = range.begin; item < range.end; ++item) {
    if (call->life().items[item].status != Status::waiting) continue;
    const bool was_bound = call->life().more->deferred.placed >= 0;
    if ((was_bound && call->spread == Spread::pool) || call->spread == Spread::teams) {
      RANKVIEW_MARK(stranded_item_moved);
      resubmit(*call, item);
    } else {
      const int missing = engine >= 0 ? engine : missing_engine(*call, item);
      ledger_.ended(*call, item, Status::failed, engines_.losses().error(missing, {call->id, item}, "nobody is left to run the task"));
    }
  }
}

// What could not be put into any queue, since who was to run it has died.
void Controller::settle_strays() {
  for (const scheduler::Range& range : queue_.take_stranded()) strand(range, -1);
  for (const TaskId& task : ledger_.take_left_by_teams()) {
    if (Call* const call = calls_.find(task.call)) resubmit(*call, task.item);
  }
  for (const TaskId& task : dispatcher_.take_orphans()) {
    Call* const call = calls_.find(task.call);
    if (call != nullptr && call->life().items[task.item].status == Status::waiting) resubmit(*call, task.item);
  }
  for (const TaskId& task : transfers_.take_lost()) {
    Call* const call = calls_.find(task.call);
    if (call == nullptr) continue;
    const int engine = call->life().items[task.item].engine;
    LostEngine& lost = engines_.losses().at(engine);
    lose_item(*call, task.item, engine, false, false, engines_.losses().describe(engine), lost);
  }
}

// An engine that an item was for and that has died.
int Controller::missing_engine(const Call& call, std::uint64_t item) const {
  if (!in_pool(call) && engines_.lost(call.engines[item])) return call.engines[item];
  for (const std::vector<int>& team : call.life().more->teams) {
    if (team.front() != call.life().items[item].engine) continue;
    const auto gone = std::find_if(team.begin(), team.end(), [this](int id) { return engines_.lost(id); });
    if (gone != team.end()) return *gone;
  }
  const auto dead = std::find_if(call.engines.begin(), call.engines.end(), [this](int id) { return engines_.lost(id); });
  return dead != call.engines.end() ? *dead : engines_.losses().list().back().engine;
}

// Long results that it has kept are on rank 0 as well, and come from there.
void Controller::forget_results_on(int engine) {
  calls_.for_each_known([engine](Call& call) {
    if (call.life().cached_on == engine) call.life().cached_on = -1;
  });
}

}  // namespace rankview::detail
