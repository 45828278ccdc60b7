// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/call_life.hpp"

#include <rankview/errors.hpp>
#include <rankview/flags.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {

void Flags::add(Flags&& more) {
  const auto take = [](auto& flag, auto& given) {
    if (given.given()) flag = std::move(given);
  };
  take(chunksize, more.chunksize);
  take(ordered, more.ordered);
  take(retries, more.retries);
  take(timeout, more.timeout);
  take(queue_timeout, more.queue_timeout);
  take(priority, more.priority);
  take(label, more.label);
  take(after, more.after);
  take(follow, more.follow);
  take(targets, more.targets);
  take(depend, more.depend);
  take(hwm, more.hwm);
  take(policy, more.policy);
  take(isolation, more.isolation);
  take(memory_limit, more.memory_limit);
  take(memory_growth, more.memory_growth);
  take(slots, more.slots);
  take(on_engine_death, more.on_engine_death);
  take(crash_limit, more.crash_limit);
  take(checkpoint, more.checkpoint);
  take(key, more.key);
  take(version, more.version);
  take(durable, more.durable);
  take(retry_failed, more.retry_failed);
}

}  // namespace rankview

// On what terms calls run: what views have of flags, and which of them a verb knows.
namespace rankview::inline abi_0_1::detail {

namespace {

constexpr int widest_task = std::numeric_limits<std::uint16_t>::max();

void check_not_negative(double value, const char* flag) {
  if (value < 0) throw UsageError(std::string(flag) + " cannot be negative, and is " + std::to_string(value));
}

std::int64_t nanoseconds(Seconds time) {
  // Beyond what can be counted is for ever.
  constexpr double most = 1e18;
  return time.count() * 1e9 > most ? 0 : std::max<std::int64_t>(time.count() > 0 ? 1 : 0, std::llround(time.count() * 1e9));
}

}  // namespace

void set_balanced_terms(Call& call, const Flags& flags) {
  check_not_negative(flags.retries, "retries");
  check_not_negative(flags.timeout->count(), "timeout");
  check_not_negative(flags.queue_timeout->count(), "queue_timeout");
  check_not_negative(flags.hwm, "hwm");
  Terms terms;
  terms.retries = flags.retries;
  terms.timeout = nanoseconds(flags.timeout);
  terms.queue_timeout = nanoseconds(flags.queue_timeout);
  terms.priority = flags.priority;
  terms.hwm = static_cast<std::uint32_t>(flags.hwm);
  terms.policy = static_cast<std::uint8_t>(flags.policy.value());
  terms.predicate = flags.depend->function();
  terms.isolation = flags.isolation;
  terms.memory_limit = flags.memory_limit;
  terms.memory_growth = flags.memory_growth;
  terms.on_engine_death = flags.on_engine_death;
  terms.crash_limit = flags.crash_limit;
  if (flags.slots < 1 || flags.slots > widest_task)
    throw UsageError("a task takes from 1 to " + std::to_string(widest_task) + " slots, and not " + std::to_string(flags.slots));
  terms.slots = static_cast<std::uint16_t>(flags.slots);
  if (terms.crash_limit < 1) throw UsageError("crash_limit is at least 1, and is " + std::to_string(terms.crash_limit));
  if (terms.memory_growth < 1) throw UsageError("memory_growth is at least 1, and is " + std::to_string(terms.memory_growth));
  if (terms.memory_limit != 0 && terms.isolation == Isolation::none)
    throw UsageError("memory_limit is for isolated tasks, whose memory is theirs alone: add isolation = rv::process");
  if (terms != Terms()) call.life().terms.edit() = terms;
  call.after = &flags.after.value();
  call.follow = &flags.follow.value();
}

void set_direct_terms(Call& call, const Flags& flags) {
  const Flags none;
  if (flags.retries != 0 || flags.priority != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value() ||
      flags.hwm != 0 || flags.policy != none.policy || flags.chunksize != none.chunksize || !flags.ordered ||
      flags.on_engine_death != none.on_engine_death || flags.crash_limit != none.crash_limit || !flags.checkpoint->empty())
    throw UsageError(
        "of the flags, a direct view knows after, queue_timeout, label, and for apply() and map() timeout, isolation, memory_limit and "
        "slots; the others are for load-balanced views");
  set_balanced_terms(call, flags);
}

void set_collective_terms(Call& call, const Flags& flags) {
  if (flags.timeout->count() != 0)
    throw UsageError("timeout is not for what engines do together: one that gave up would leave the others waiting for it");
  check_not_isolated(flags, "what engines do together they do by MPI, which the process of an isolated task does not have");
  set_direct_terms(call, flags);
}

void check_not_isolated(const Flags& flags, const char* why_not) {
  if (flags.isolation != Isolation::none) throw UsageError(std::string("isolation is for apply() and map(): ") + why_not);
}

void check_no_checkpoint(const Flags& flags) {
  if (!flags.checkpoint->empty())
    throw UsageError(
        "map_reduce() has no results of single tasks to keep in a checkpoint; use map(), and fold what it gives, which a later run finds");
}

void check_team_flags(const Flags& flags) {
  if (!flags.checkpoint->empty()) throw UsageError("results of teams are not kept in a checkpoint");
  check_not_isolated(flags, "teams run tasks by MPI, which the process of an isolated task does not have");
  if (flags.retries != 0 || flags.timeout->count() != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value())
    throw UsageError("teams do not know the flags retries, timeout, follow, targets and depend; name targets when making the team_view()");
}

}  // namespace rankview::detail
