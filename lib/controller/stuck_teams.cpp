// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/stuck_teams.hpp"

#include "controller/items.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <algorithm>
#include <string>

namespace rankview::controller {

void StuckTeams::note(const detail::Call& call, std::uint64_t item, std::int64_t now, const std::exception_ptr& error) {
  const bool known = std::any_of(suspects_.begin(), suspects_.end(), [&](const Suspect& suspect) {
    return suspect.call == call.id && (call.spread == detail::Spread::together || suspect.item == item);
  });
  if (!known) suspects_.push_back({call.id, item, now, error});
}

void StuckTeams::check(std::int64_t now) {
  const std::int64_t limit = now - std::chrono::nanoseconds(grace_).count();
  std::erase_if(suspects_, [&](const Suspect& suspect) {
    const detail::Call* const call = calls_.find(suspect.call);
    if (call == nullptr) return true;
    if (call->spread != detail::Spread::together && !call->life().more->team_items->contains(suspect.item)) return true;
    if (suspect.since > limit) return false;
    transport::end_process(1, wire::error_text(suspect.error) + "\nOther engines have not ended that task " +
                                  std::to_string(grace_.count()) +
                                  " ms later (RANKVIEW_TEAM_GRACE_MS): they wait in MPI for the one that threw, and cannot be freed");
  });
}

}  // namespace rankview::controller
