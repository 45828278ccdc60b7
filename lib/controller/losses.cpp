// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/losses.hpp"

#include "controller/engines.hpp"
#include "marks/mark.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <utility>

namespace rankview::controller {

LostEngine& Losses::note(int engine, const liveness::Sign& sign, bool aside) {
  const EngineInfo& info = engines_[engine];
  LostEngine& lost = lost_[engine];
  any_.store(true, std::memory_order_release);
  lost.engine = engine;
  lost.rank = info.rank;
  lost.host = info.host;
  lost.pid = info.pid;
  lost.seen = sign.seen;
  lost.signal = sign.signal;
  lost.aside = aside;
  lost.when = std::chrono::system_clock::now();
  return lost;
}

std::vector<LostEngine> Losses::list() const {
  std::vector<LostEngine> all;
  for (const auto& [engine, lost] : lost_) all.push_back(lost);
  return all;
}

std::uint64_t Losses::deaths() const {
  return static_cast<std::uint64_t>(std::count_if(lost_.begin(), lost_.end(), [](const auto& lost) { return !lost.second.aside; }));
}

std::string Losses::describe(int engine) const {
  const LostEngine& lost = lost_.at(engine);
  return "engine " + std::to_string(engine) + " (rank " + std::to_string(lost.rank) + " on " + lost.host + ", process " +
         std::to_string(lost.pid) + ") has " + (lost.aside ? "fallen silent: " : "died: ") + lost.seen;
}

std::exception_ptr Losses::error(int engine, const TaskId& task, const std::string& why) const {
  const EngineInfo& info = engines_[engine];
  const std::string place = task.call == 0 ? "" : "task " + to_string(task) + ": ";
  return std::make_exception_ptr(
      EngineError(place + describe(engine) + (why.empty() ? "" : "; ") + why, TaskPlace{engine, info.rank, info.host, info.pid, task}));
}

Losses::Verdict Losses::judge(detail::Call& call, std::uint64_t item, bool ran, bool suspect, const std::string& death) {
  const detail::Terms& terms = *call.life().terms;
  if (terms.on_engine_death == OnEngineDeath::fail) return Verdict::fail;
  if (!ran && !suspect) return Verdict::rerun;
  detail::Attempts& attempts = call.life().more.edit().attempts.edit()[item];
  attempts.suspect = attempts.suspect || suspect;
  if (!ran) {
    RANKVIEW_MARK(death_on_suspicion);
    return Verdict::rerun;
  }
  attempts.deaths.push_back(death);
  if (attempts.deaths.size() < static_cast<std::size_t>(terms.crash_limit)) return Verdict::rerun;
  RANKVIEW_MARK(crash_limit_reached);
  return Verdict::fail;
}

}  // namespace rankview::controller
