// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/team.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rankview::engine {

// The teams that this engine is in, and which of them are broken, since one of theirs has died.
//
// Changed with the engine's lock; any_broken() may be asked without it.
class Teams {
 public:
  // The engine has been told of a team, and goes to make it. `lost`: engines that have died.
  void join(std::uint64_t team, std::vector<int> members, const std::set<int>& lost) {
    const bool without = std::any_of(members.begin(), members.end(), [&lost](int id) { return lost.contains(id); });
    Known& known = known_[team];
    known.members = std::move(members);
    known.broken = without;
    if (without) any_broken_ = true;
  }
  void made(std::uint64_t team, std::unique_ptr<transport::Team> made) { known_.at(team).made = std::move(made); }
  // The team will not be asked for any more.
  void disband(std::uint64_t team) { known_.erase(team); }
  [[nodiscard]] const std::shared_ptr<transport::Team>& at(std::uint64_t team) const { return known_.at(team).made; }

  // An engine has died.
  void lose(int id) {
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

 private:
  struct Known {
    std::vector<int> members;
    std::shared_ptr<transport::Team> made{};  // null while it is being made
    bool broken = false;
  };

  std::unordered_map<std::uint64_t, Known> known_;
  std::atomic<bool> any_broken_{false};
};

}  // namespace rankview::engine
