// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/target_set.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace rankview::scheduler {

// All sets of engines that anything was for, but for some that nothing was for lately.
class TargetSets {
 public:
  using Teams = std::vector<std::vector<int>>;

  TargetSets() : everyone_(make(false)) {}
  TargetSets(const TargetSets&) = delete;
  TargetSets& operator=(const TargetSets&) = delete;
  TargetSets(TargetSets&&) = delete;
  TargetSets& operator=(TargetSets&&) = delete;
  ~TargetSets() = default;

  [[nodiscard]] TargetSet& everyone() const { return everyone_; }
  // Of one engine, which remembers it.
  TargetSet& add_bound() { return make(true); }
  // Of these engines, sorted, or teams. Null where it has to be added.
  [[nodiscard]] TargetSet* find(const std::vector<int>& engines) const { return find_in(by_engines_, engines); }
  [[nodiscard]] TargetSet* find(const Teams& teams) const { return find_in(by_teams_, teams); }
  TargetSet& add(const std::vector<int>& engines) { return *by_engines_.emplace(engines, &make(false)).first->second; }
  TargetSet& add(const Teams& teams) { return *by_teams_.emplace(teams, &make(false)).first->second; }

  // Each of them costs its engines a little whenever they have finished something.
  [[nodiscard]] bool many() const { return by_engines_.size() > most_remembered || by_teams_.size() > most_remembered; }
  // Takes out those that have no work.
  std::vector<std::unique_ptr<TargetSet>> take_unused();

  [[nodiscard]] const std::vector<std::unique_ptr<TargetSet>>& all() const { return all_; }
  [[nodiscard]] const std::map<Teams, TargetSet*>& of_teams() const { return by_teams_; }

  // Queues are numbered in the order in which they are made.
  std::uint64_t number_queue() { return queues_++; }

 private:
  static constexpr std::size_t most_remembered = 64;

  TargetSet& make(bool bound) {
    all_.push_back(std::make_unique<TargetSet>());
    all_.back()->bound = bound;
    return *all_.back();
  }
  template <class Map>
  static TargetSet* find_in(const Map& map, const typename Map::key_type& key) {
    const auto known = map.find(key);
    return known == map.end() ? nullptr : known->second;
  }

  std::vector<std::unique_ptr<TargetSet>> all_;
  TargetSet& everyone_;
  std::map<std::vector<int>, TargetSet*> by_engines_;
  std::map<Teams, TargetSet*> by_teams_;
  std::uint64_t queues_ = 0;
};

}  // namespace rankview::scheduler
