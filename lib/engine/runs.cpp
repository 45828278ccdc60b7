// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/runs.hpp"

#include <rankview/errors.hpp>

#include <string>

namespace rankview::engine {

std::uint64_t Runs::suspended_items() const {
  std::uint64_t items = 0;
  for (const ItemRun* run = running_->waiting; run != nullptr; run = run->waiting) items += run->folded_items.size() + run->end - run->item;
  return items;
}

void Runs::check_depth(int engine, std::size_t more) {
  // What a wait costs grows with how many others wait, so there is a limit also where the stack has none.
  constexpr std::size_t most_suspended = 1'000;
  if (!stack_) stack_.emplace();
  const std::size_t left = stack_->left();
  const bool has_room = left >= stack_->reserve() + more;
  if (has_room && suspended_ < most_suspended) return;
  const std::string waiting = "subtasks are nested too deep: " + std::to_string(suspended_) + " tasks of engine " + std::to_string(engine) +
                              " wait for each other, which ";
  if (has_room) throw UsageError(waiting + "is as many as may; nest them less, for instance by halves");
  throw UsageError(waiting + "leaves " + std::to_string(left / 1024) +
                   " KiB of stack to the next; nest them less, for instance by halves, or give the program more stack (ulimit -s)");
}

}  // namespace rankview::engine
