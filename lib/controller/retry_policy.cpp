// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/retry_policy.hpp"

#include "controller/items.hpp"
#include "marks/mark.hpp"
#include "wire/error_text.hpp"

#include <cstddef>

namespace rankview::controller {

using detail::Attempts;
using detail::Call;

namespace {

const Attempts& attempts_at(const Call& call, std::uint64_t item) {
  static const Attempts none;
  const auto found = call.life().more->attempts->find(item);
  return found == call.life().more->attempts->end() ? none : found->second;
}

}  // namespace

bool RetryPolicy::retry_after(Call& call, std::uint64_t item, int engine, const std::exception_ptr& error) {
  if (call.life().terms->retries == 0 || !run_.open() || given_up(call, item)) return false;
  Attempts& attempts = call.life().more.edit().attempts.edit()[item];
  if (attempts.errors.size() >= static_cast<std::size_t>(call.life().terms->retries)) {
    RANKVIEW_MARK(retries_used_up);
    return false;
  }
  attempts.errors.push_back(wire::error_text(error));
  attempts.tried.push_back(engine);
  return true;
}

void RetryPolicy::note_refusal(Call& call, std::uint64_t item, int engine) {
  call.life().more.edit().attempts.edit()[item].refused.push_back(engine);
}

scheduler::Avoid RetryPolicy::avoid(const Call& call, std::uint64_t item) {
  const Attempts& attempts = attempts_at(call, item);
  return {attempts.tried, attempts.refused};
}

bool RetryPolicy::suspect(const Call& call, std::uint64_t item) { return attempts_at(call, item).suspect; }

std::string RetryPolicy::list_deaths(const Call& call, std::uint64_t item) {
  std::string lines;
  for (const std::string& death : attempts_at(call, item).deaths) lines += "\n  " + death;
  return lines;
}

std::vector<std::string> RetryPolicy::earlier_errors(const Call& call, std::uint64_t item) { return attempts_at(call, item).errors; }

}  // namespace rankview::controller
