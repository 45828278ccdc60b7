// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace rankview::engine {

// How the subtasks have ended that tasks here have submitted and still ask for.
class SubtaskResults {
 public:
  struct Answer {
    bool failed;
    std::vector<std::byte> value;  // or how it failed
  };

  // A ticket for another one.
  std::uint64_t add() {
    answers_.emplace(next_ticket_, std::nullopt);
    return next_ticket_++;
  }
  [[nodiscard]] bool answered(std::uint64_t ticket) const { return answers_.at(ticket).has_value(); }
  Answer take(std::uint64_t ticket) { return *std::exchange(answers_.at(ticket), std::nullopt); }
  // Rank 0 has said how it ended. False if nobody asks any more.
  bool ended(const wire::SubtaskResult& result) {
    const auto subtask = answers_.find(result.ticket);
    if (subtask == answers_.end()) return false;
    subtask->second = Answer{result.failed != 0, {result.value.begin(), result.value.end()}};
    return true;
  }
  // Nobody asks any more. Gives the answer, if there was one that nobody has taken.
  std::optional<Answer> forget(std::uint64_t ticket) {
    auto forgotten = answers_.extract(ticket);
    return forgotten.empty() ? std::nullopt : std::move(forgotten.mapped());
  }

 private:
  std::map<std::uint64_t, std::optional<Answer>> answers_;  // by ticket
  std::uint64_t next_ticket_ = 1;
};

}  // namespace rankview::engine
