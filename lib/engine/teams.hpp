// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/team.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rankview::engine {

// The teams that this engine is in, the engines that have died, and which of the teams are broken by that.
//
// Changed with the engine's lock; any_broken() may be asked without it.
class Teams {
 public:
  // The engine has been told of a team, and goes to make it.
  void join(std::uint64_t team, std::vector<int> members) {
    const bool without = std::any_of(members.begin(), members.end(), [this](int id) { return dead_.contains(id); });
    Known& known = known_[team];
    known.members = std::move(members);
    known.broken = without;
    if (without) any_broken_ = true;
  }
  // All of the team are there, and may make it in this turn.
  void give_turn(std::uint64_t team, std::uint64_t turn) { turns_[team] = turn; }
  [[nodiscard]] bool may_make(std::uint64_t team) const { return turns_.contains(team); }
  // Its turn, in which the engine goes to make it; it has to have one.
  std::uint64_t begin_making(std::uint64_t team) {
    making_ = team;
    return turns_.extract(team).mapped();
  }
  void made(std::uint64_t team, std::unique_ptr<transport::Team> made) {
    making_ = 0;
    known_.at(team).made = std::move(made);
  }
  void forget_turns() { turns_.clear(); }
  // The team will not be asked for any more.
  void disband(std::uint64_t team) { known_.erase(team); }
  [[nodiscard]] const std::shared_ptr<transport::Team>& at(std::uint64_t team) const { return known_.at(team).made; }

  // An engine has died.
  void lose(int id) {
    dead_.insert(id);
    for (auto& [number, known] : known_) {
      if (std::find(known.members.begin(), known.members.end(), id) == known.members.end()) continue;
      known.broken = true;
      any_broken_ = true;
    }
  }
  [[nodiscard]] bool broken(std::uint64_t team) const {
    const auto found = known_.find(team);
    return found != known_.end() && found->second.broken;
  }
  [[nodiscard]] bool any_broken() const { return any_broken_; }
  [[nodiscard]] const std::set<int>& dead() const { return dead_; }

  // How long the team whose task runs, or that is being made, has been seen to be broken, in nanoseconds: nothing where it is whole.
  // `running`: that whose task runs, or 0; `now`: nanoseconds of the clock.
  std::optional<std::int64_t> broken_for(std::uint64_t running, std::int64_t now) {
    const std::uint64_t team = running != 0 ? running : making_;
    if (team == 0 || !any_broken_ || !broken(team)) {
      broken_seen_ = 0;
      return std::nullopt;
    }
    if (broken_seen_ == 0) broken_seen_ = now;
    return now - broken_seen_;
  }

 private:
  struct Known {
    std::vector<int> members;
    std::shared_ptr<transport::Team> made{};  // null while it is being made
    bool broken = false;
  };

  std::unordered_map<std::uint64_t, Known> known_;
  std::map<std::uint64_t, std::uint64_t> turns_;  // of teams that may be made now
  std::uint64_t making_ = 0;                      // the team that is being made, or 0
  std::set<int> dead_;
  std::int64_t broken_seen_ = 0;  // when broken_for() first saw one, 0 for not
  std::atomic<bool> any_broken_{false};
};

}  // namespace rankview::engine
