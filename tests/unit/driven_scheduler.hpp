// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "scheduler/scheduler.hpp"

#include "support.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

// A scheduler that remembers what it has handed out, so that tests can end "the next two items of call 3 on engine 1".
namespace test {

using namespace rankview::scheduler;

inline constexpr Nanoseconds us = 1000;
inline constexpr Nanoseconds ms = 1000 * us;

inline Work items(std::uint64_t call, std::uint64_t count, std::uint64_t first = 0) {
  Work work;
  work.call = call;
  work.kind = call;
  work.first = first;
  work.count = count;
  work.chunks = count;
  work.item_bytes = 8;
  return work;
}

inline Work chunked(std::uint64_t call, std::uint64_t count, std::uint64_t chunks) {
  Work work = items(call, count);
  work.chunks = chunks;
  return work;
}

inline Work of_kind(Work work, std::uint64_t kind) {
  work.kind = kind;
  return work;
}

inline std::uint64_t size_of(const Grant& grant) { return grant.end - grant.begin; }

class DrivenScheduler : public Scheduler {
 public:
  explicit DrivenScheduler(int engines = 0, Limits limits = {}) : Scheduler(limits) {
    for (int id = 0; id < engines; ++id) add_engine(id);
  }

  bool submit(const Work& work) { return Scheduler::submit(work); }
  bool submit(const Work& work, const std::vector<int>& engines) { return place(work, Placement::Kind::among, engines); }
  bool submit_bound(const Work& work, int engine) { return place(work, Placement::Kind::bound, {engine}); }
  bool submit_together(const Work& work, const std::vector<int>& engines) { return place(work, Placement::Kind::together, engines); }
  bool submit_to_teams(const Work& work, const std::vector<std::vector<int>>& teams) {
    return Scheduler::submit(work, Placement::to(teams));
  }

  std::optional<Grant> next() {
    Grant grant;
    if (!Scheduler::next(grant)) return std::nullopt;
    note(grant);
    return grant;
  }
  void note(const Grant& grant) { in_hand_[{grant.engine, grant.call}].push_back(grant); }
  std::vector<Grant> drain() {
    std::vector<Grant> grants;
    while (const auto grant = next()) grants.push_back(*grant);
    return grants;
  }

  // The first `count` items of a call that the engine has end.
  void finished(int engine, std::uint64_t call, std::uint64_t count, Nanoseconds busy) {
    auto& grants = in_hand_[{engine, call}];
    for (std::uint64_t left = count; left != 0;) {
      if (grants.empty()) FAIL("engine " << engine << " does not have so much of call " << call);
      Grant& first = grants.front();
      const std::uint64_t part = std::min(left, size_of(first));
      Scheduler::finished(engine, call, first.begin, first.begin + part,
                          busy / static_cast<Nanoseconds>(count) * static_cast<Nanoseconds>(part));
      first.begin += part;
      left -= part;
      if (size_of(first) == 0) grants.pop_front();
    }
  }
  void finished(const Grant& grant, Nanoseconds busy) { finished(grant.engine, grant.call, size_of(grant), busy); }

  // The engine has these no longer, or nothing at all.
  void forget(int engine, const std::vector<Range>& ranges) {
    for (const Range& range : ranges) {
      auto& grants = in_hand_[{engine, range.call}];
      std::deque<Grant> left;
      for (const Grant& grant : grants) {
        if (grant.begin < std::min(grant.end, range.begin))
          left.push_back({engine, range.call, grant.begin, std::min(grant.end, range.begin)});
        if (std::max(grant.begin, range.end) < grant.end) left.push_back({engine, range.call, std::max(grant.begin, range.end), grant.end});
      }
      grants = std::move(left);
    }
  }
  void give_back(int engine, const std::vector<Range>& ranges) {
    forget(engine, ranges);
    Scheduler::returned(engine, ranges);
  }
  void forget(int engine) {
    std::erase_if(in_hand_, [engine](const auto& of) { return of.first.first == engine; });
  }

  // How many items were dropped.
  std::uint64_t withdraw(std::uint64_t call) {
    const std::uint64_t before = waiting();
    Scheduler::withdraw(call, placed(call));
    return before - waiting();
  }
  bool withdraw(std::uint64_t call, std::uint64_t item) { return Scheduler::withdraw(call, item, placed(call)); }

  // Lets it see that items of this kind take so long.
  void teach(std::uint64_t kind, std::uint64_t samples, Nanoseconds each) {
    submit(of_kind(items(1'000'000 + kind, samples), kind));
    std::deque<Grant> running;
    for (;;) {
      for (const Grant& grant : drain()) running.push_back(grant);
      if (running.empty()) break;
      finished(running.front(), each * static_cast<Nanoseconds>(size_of(running.front())));
      running.pop_front();
    }
  }

 private:
  bool place(const Work& work, Placement::Kind kind, const std::vector<int>& engines) {
    placed_[work.call] = {kind, engines};
    return Scheduler::submit(work, {kind, engines.front(), &engines, nullptr});
  }

  Placement placed(std::uint64_t call) const {
    const auto found = placed_.find(call);
    if (found == placed_.end()) return {};
    return {found->second.first, found->second.second.front(), &found->second.second, nullptr};
  }

  std::map<std::pair<int, std::uint64_t>, std::deque<Grant>> in_hand_;
  std::map<std::uint64_t, std::pair<Placement::Kind, std::vector<int>>> placed_;
};

}  // namespace test
