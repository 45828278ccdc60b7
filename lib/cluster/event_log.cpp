// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/event_log.hpp"

#include "controller/call_life.hpp"
#include "controller/task_errors.hpp"

#include <rankview/errors.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {
namespace {

// More engines than these are not told one by one.
constexpr std::size_t most_engines = 32;

std::string name_of(const detail::Call& call) {
  const std::string& label = call.life().more->label;
  return "call " + std::to_string(call.id) + (label.empty() ? "" : " \"" + label + "\"");
}

std::string tasks(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " task" : " tasks"); }

std::string items(std::uint64_t begin, std::uint64_t end) {
  return end - begin == 1 ? "task " + std::to_string(begin) : "tasks " + std::to_string(begin) + " to " + std::to_string(end - 1);
}

std::string whom(int engine) { return engine < 0 ? "rank 0" : "engine " + std::to_string(engine); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void EventLog::check(const std::string& setting) {
  const std::string level = setting.substr(0, setting.find(':'));
  if (level.empty() || level == "info" || level == "debug") return;
  throw UsageError("RANKVIEW_LOG should be info or debug, behind which may come a colon and the name of a file, and is \"" + setting +
                   "\"");
}

std::unique_ptr<EventLog> EventLog::make(const std::string& setting, const transport::Clock& clock) {
  const std::size_t colon = setting.find(':');
  const std::string level = setting.substr(0, colon);
  if (level.empty()) return nullptr;
  File file(stderr);
  if (colon != std::string::npos) {
    const std::string path = setting.substr(colon + 1);
    if (File own(std::fopen(path.c_str(), "a")); own != nullptr) {
      file = std::move(own);
    } else {
      std::fprintf(stderr, "rankview: RANKVIEW_LOG: %s cannot be written, so the log comes here: %s\n", path.c_str(), std::strerror(errno));
    }
  }
  return std::unique_ptr<EventLog>(new EventLog(std::move(file), level == "debug", clock));
}

void EventLog::say(const std::string& event) {
  std::fprintf(file_.get(), "rankview %s: %s\n", detail::in_seconds(clock_.now() - began_).c_str(), event.c_str());
  std::fflush(file_.get());
}

void EventLog::run_begins(const std::vector<controller::EngineInfo>& engines) {
  say("a run with " + std::to_string(engines.size()) + (engines.size() == 1 ? " engine" : " engines"));
  if (engines.size() > most_engines && !details_) return;
  for (std::size_t id = 0; id < engines.size(); ++id) {
    say("engine " + std::to_string(id) + " is rank " + std::to_string(engines[id].rank) + " on " + engines[id].host + ", process " +
        std::to_string(engines[id].pid));
  }
}

void EventLog::submitted(const detail::Call& call) { say(name_of(call) + ": " + tasks(call.life().items.size())); }

void EventLog::granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  if (details_) say(name_of(call) + ": " + whom(engine) + " gets " + items(begin, end));
}

void EventLog::retried(const detail::Call& call, std::uint64_t item) {
  const auto& attempts = *call.life().more->attempts;
  const auto found = attempts.find(item);
  const std::string why = found == attempts.end() || found->second.errors.empty() ? "" : ": " + first_line(found->second.errors.back());
  say(name_of(call) + ": task " + std::to_string(item) + " is tried again after attempt " +
      std::to_string(call.life().items[item].attempts) + why);
}

void EventLog::ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) {
  if (details_) say(name_of(call) + ": " + items(begin, end) + " ended, on " + whom(call.life().items[begin].engine));
}

void EventLog::engine_lost(const LostEngine& lost) {
  std::string event = "engine " + std::to_string(lost.engine) + (lost.aside ? " is set aside: " : " has died: ") + lost.seen;
  if (lost.rerun != 0) event += "; " + tasks(lost.rerun) + " of it for others";
  if (lost.failed != 0) event += "; " + tasks(lost.failed) + " of it failed";
  say(event);
}

void EventLog::over(const detail::Call& call) {
  std::uint64_t failed = 0;
  std::uint64_t aborted = 0;
  for (const detail::ItemRecord& item : call.life().items) {
    failed += item.status == Status::failed ? 1 : 0;
    aborted += item.status == Status::aborted ? 1 : 0;
  }
  std::string event = name_of(call) + ": over after " + detail::in_seconds(clock_.now() - call.life().submitted);
  if (failed != 0) event += ", " + tasks(failed) + " failed";
  if (aborted != 0) event += ", " + tasks(aborted) + " aborted";
  const auto& errors = *call.life().errors;
  if (failed != 0 && !errors.empty())
    event += "; task " + std::to_string(errors.begin()->first) + ": " + first_line(detail::text_of(call, errors.begin()->second));
  say(event);
}

void EventLog::run_ends(bool failed, const std::string& reason) {
  say(failed ? "the run ends, since the client failed: " + first_line(reason) : "the run ends");
}

}  // namespace rankview
