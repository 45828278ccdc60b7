// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <map>
#include <string>

// What the controller says when somebody wants to know what it waits for.
namespace rankview::inline abi_0_1::detail {
namespace {

// So many calls, and engines of each, are told one by one.
constexpr std::size_t most_calls = 20;
constexpr std::size_t most_engines = 8;

std::string line_of(const Call& call, std::int64_t now) {
  const CallLife& life = call.life();
  std::uint64_t waiting = 0;
  std::uint64_t ended = 0;
  std::map<int, std::uint64_t> handed_out;
  for (const ItemRecord& item : life.items) {
    waiting += item.status == Status::waiting ? 1 : 0;
    ended += has_ended(item.status) ? 1 : 0;
    if (item.status == Status::handed_out) ++handed_out[item.engine];
  }
  std::string line = "  call " + std::to_string(call.id);
  if (!life.more->label.empty()) line += " \"" + life.more->label + "\"";
  line += ", made " + in_seconds(now - life.submitted) + " ago: of " + std::to_string(life.items.size()) + " tasks " +
          std::to_string(ended) + " have ended";
  if (waiting != 0) line += ", " + std::to_string(waiting) + (life.waits ? " wait for other tasks" : " wait for an engine");
  std::size_t told = 0;
  for (const auto& [engine, count] : handed_out) {
    if (told++ == most_engines) {
      line += ", and others have more";
      break;
    }
    line += (engine < 0 ? ", rank 0 runs " : ", engine " + std::to_string(engine) + " has ") + std::to_string(count);
  }
  if (!life.laid_out) line += ", more are being submitted";
  if (life.team != 0 && !life.sealed) line += ", rank 0's own part in it is not over";
  return line + "\n";
}

}  // namespace

std::string Controller::describe() {
  std::string text;
  const bool could = driver_.try_locked(std::chrono::milliseconds(500), [&] {
    const auto calls = calls_.unfinished();
    text = calls.empty() ? "nothing is under way\n" : std::to_string(calls.size()) + " calls are under way\n";
    for (std::size_t i = 0; i < calls.size() && i < most_calls; ++i) text += line_of(*calls[i], now());
    if (calls.size() > most_calls) text += "  and " + std::to_string(calls.size() - most_calls) + " more\n";
    if (const std::size_t withheld = shares_.waiting(); withheld != 0)
      text += "  " + std::to_string(withheld) + " tasks may be done by other jobs that use their checkpoint\n";
    if (work_.busy()) text += "  code of the program's reads, encodes or folds values\n";
    if (work_.continuations().busy()) text += "  continuations run, or are to run\n";
  });
  return could ? text : "whoever drives has not let go of it for half a second\n";
}

}  // namespace rankview::detail
