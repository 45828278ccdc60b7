// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace rankview::controller {

// Items that an engine had when it was set aside, and of which it may still say something when it answers again. The scheduler does not
// count them any more. An item may be here several times, since the engine may be given it anew; it says something of the oldest first.
class LateItems {
 public:
  // `given_away`: others run it, and what the engine says of it is not wanted.
  void add(int engine, const TaskId& task, bool given_away) { items_[engine][task].push_back(given_away); }
  [[nodiscard]] bool any() const { return !items_.empty(); }
  [[nodiscard]] bool any(int engine) const { return items_.contains(engine); }

  // The engine says something of an item for the last time. Nothing if it is none of these, else whether it was given away.
  std::optional<bool> take(int engine, const TaskId& task) {
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return std::nullopt;
    const auto found = of_engine->second.find(task);
    if (found == of_engine->second.end()) return std::nullopt;
    const bool given_away = found->second.front();
    found->second.pop_front();
    if (found->second.empty()) of_engine->second.erase(found);
    if (of_engine->second.empty()) items_.erase(of_engine);
    return given_away;
  }
  // The same, where more will be said.
  [[nodiscard]] bool given_away(int engine, const TaskId& task) const {
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return false;
    const auto found = of_engine->second.find(task);
    return found != of_engine->second.end() && found->second.front();
  }

  // So many of the items that the engine has begun wait for others.
  void note_suspended(int engine, std::uint64_t items) { suspended_[engine] = items; }
  // Of those, how many the scheduler counts, as far as that is known.
  [[nodiscard]] std::uint64_t suspended(int engine) const {
    const auto told = suspended_.find(engine);
    const std::uint64_t all = told == suspended_.end() ? 0 : told->second;
    std::uint64_t late = 0;
    if (const auto of_engine = items_.find(engine); of_engine != items_.end()) {
      for (const auto& [task, attempts] : of_engine->second) late += attempts.size();
    }
    return all - std::min(all, late);
  }

  // The engine has died. Gives what nobody else has been given.
  std::vector<TaskId> lose(int engine) {
    std::vector<TaskId> left;
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return left;
    for (const auto& [task, attempts] : of_engine->second) {
      if (!attempts.back()) left.push_back(task);
    }
    items_.erase(of_engine);
    return left;
  }

 private:
  std::map<int, std::map<TaskId, std::deque<bool>>> items_;  // by engine; whether each attempt was given away
  std::map<int, std::uint64_t> suspended_;                   // what engines have said last
};

}  // namespace rankview::controller
