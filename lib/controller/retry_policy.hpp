// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/run_state.hpp"
#include "scheduler/scheduler.hpp"

#include <rankview/detail/call.hpp>

#include <cstdint>
#include <exception>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace rankview::controller {

// Whether an item is tried again, and where it was tried before.
//
// Also knows which attempts have run out of time: such a task goes on until it ends, and then has nothing to say any more.
class RetryPolicy {
 public:
  explicit RetryPolicy(const RunState& run) : run_(run) {}

  // An attempt has failed. Whether there is to be another.
  bool retry_after(detail::Call& call, std::uint64_t item, int engine, const std::exception_ptr& error);
  // The engine's predicate says that the item cannot run there.
  static void note_refusal(detail::Call& call, std::uint64_t item, int engine);
  // Where the next attempt is better not made.
  [[nodiscard]] static scheduler::Avoid avoid(const detail::Call& call, std::uint64_t item);
  // Whether the engine should have nothing else then, so that it is known what it ran if it dies.
  [[nodiscard]] static bool suspect(const detail::Call& call, std::uint64_t item);
  // The engines that have died of it, in lines of text.
  [[nodiscard]] static std::string list_deaths(const detail::Call& call, std::uint64_t item);
  // How the attempts before the last one failed.
  [[nodiscard]] static std::vector<std::string> earlier_errors(const detail::Call& call, std::uint64_t item);

  // The engine has died, and says nothing more of any.
  void forget_expired(int engine) {
    std::erase_if(expired_, [engine](const auto& attempt) { return std::get<0>(attempt) == engine; });
  }
  // An attempt has run out of time.
  void note_expired(int engine, std::uint64_t call, std::uint64_t item) { expired_.emplace(engine, call, item); }
  [[nodiscard]] bool any_expired() const { return !expired_.empty(); }
  [[nodiscard]] bool expired(int engine, std::uint64_t call, std::uint64_t item) const { return expired_.contains({engine, call, item}); }
  // An attempt has ended on an engine. Whether it had run out of time before.
  bool take_expired(int engine, std::uint64_t call, std::uint64_t item) { return expired_.erase({engine, call, item}) != 0; }

 private:
  const RunState& run_;
  std::set<std::tuple<int, std::uint64_t, std::uint64_t>> expired_;  // engine, call and item
};

}  // namespace rankview::controller
