// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_registry.hpp"

#include <rankview/detail/call.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <vector>

namespace rankview::controller {

// Tasks that several engines run together and that have thrown on one of them, while others have not ended them: those may wait in MPI for
// the one that threw, and cannot be called back, nor told from who computes. After a while that is an error of the whole job.
class StuckTeams {
 public:
  StuckTeams(const CallRegistry& calls, std::chrono::milliseconds grace) : calls_(calls), grace_(grace) {}

  [[nodiscard]] bool empty() const { return suspects_.empty(); }
  // The task has thrown on one engine, at `now` in nanoseconds of the clock.
  void note(const detail::Call& call, std::uint64_t item, std::int64_t now, const std::exception_ptr& error);
  // Forgets those that have ended. Ends the process if one has not for longer than the grace period.
  void check(std::int64_t now);

 private:
  struct Suspect {
    std::uint64_t call = 0;
    std::uint64_t item = 0;  // where teams run items
    std::int64_t since = 0;
    std::exception_ptr error;
  };

  const CallRegistry& calls_;
  const std::chrono::milliseconds grace_;
  std::vector<Suspect> suspects_;
};

}  // namespace rankview::controller
