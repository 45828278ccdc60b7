// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/queue.hpp"

#include "launch/quoted.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace rankview::submit {
namespace {

using std::chrono::milliseconds;

// A controller that is busy may take so long to answer.
constexpr milliseconds patience{60'000};
// Who only wants to know does not wait as long.
constexpr milliseconds patience_for_state{10'000};
constexpr std::array pauses{milliseconds(1'000), milliseconds(4'000), milliseconds(16'000)};

// What batch systems say when they cannot answer now, and can later.
bool transient(const Outcome& outcome) {
  constexpr std::string_view signs[] = {"Socket timed out",
                                        "Unable to contact slurm controller",
                                        "Slurm temporarily unable",
                                        "temporarily unavailable",
                                        "Connection refused",
                                        "Connection timed out",
                                        "cannot connect to server",
                                        "Cannot connect to specified server host",
                                        "unable to contact qmaster",
                                        "unable to send message to qmaster",
                                        "LSF is down",
                                        "batch system daemon not responding",
                                        "please wait"};
  if (outcome.too_late) return true;
  return std::any_of(std::begin(signs), std::end(signs),
                     [&](std::string_view sign) { return outcome.err.find(sign) != std::string::npos; });
}

std::string trimmed(const std::string& text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  const auto begin = std::find_if_not(text.begin(), text.end(), blank);
  const auto end = std::find_if_not(text.rbegin(), std::string::const_reverse_iterator(begin), blank).base();
  return {begin, end};
}

[[noreturn]] void fail(const std::vector<std::string>& words, const Outcome& outcome) {
  std::string said = trimmed(outcome.err.empty() ? outcome.out : outcome.err);
  if (outcome.too_late) said = "it did not answer within " + std::to_string(patience.count() / 1000) + " s";
  if (said.empty()) said = "it left with exit code " + std::to_string(outcome.code);
  throw Error(launch::quoted(words) + ": " + said);
}

}  // namespace

Outcome Queue::run_again_and_again(const std::vector<std::string>& words, const std::string& input) {
  Outcome outcome = commands_.run(words, input, patience);
  for (const milliseconds pause : pauses) {
    // One that was ended may have been heard all the same: twice would be worse than not at all.
    if (outcome.well() || outcome.too_late || !transient(outcome)) break;
    commands_.pause(pause);
    outcome = commands_.run(words, input, patience);
  }
  return outcome;
}

std::string Queue::submit(const std::string& script, const std::string& path) {
  std::vector<std::string> words;
  std::string input;
  switch (system_) {
    case BatchSystem::slurm:
      words = {"sbatch", "--parsable", path};
      break;
    case BatchSystem::sge:
      words = {"qsub", "-terse", path};
      break;
    case BatchSystem::lsf:
      words = {"bsub"};
      input = script;
      break;
    default:
      words = {"qsub", path};
      break;
  }
  const Outcome outcome = run_again_and_again(words, input);
  if (!outcome.well()) fail(words, outcome);
  const auto id = id_in(outcome.out);
  if (!id) throw Error(launch::quoted(words) + " says \"" + trimmed(outcome.out) + "\", in which there is no job id");
  return *id;
}

// Sites have words of welcome printed before it: it is in the last line that has one.
std::optional<std::string> Queue::id_in(const std::string& text) const {
  std::optional<std::string> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = trimmed(text.substr(at, end - at));
    at = end + 1;
    if (system_ == BatchSystem::lsf) {
      // Job <123> is submitted to queue <normal>.
      const std::size_t open = line.find("Job <");
      const std::size_t close = line.find('>', open);
      if (open == std::string::npos || close == std::string::npos) continue;
      line = line.substr(open + 5, close - open - 5);
    } else {
      // 123, 123;cluster, 123.server, 123[].server
      line = line.substr(0, line.find(';'));
    }
    if (!line.empty() && std::isdigit(static_cast<unsigned char>(line.front())) != 0 && line.find(' ') == std::string::npos) found = line;
  }
  return found;
}

QueueState Queue::state(const std::string& id) {
  std::vector<std::string> words;
  switch (system_) {
    case BatchSystem::slurm:
      words = {"squeue", "-h", "-j", id, "-o", "%T"};
      break;
    case BatchSystem::lsf:
      words = {"bjobs", "-noheader", "-o", "stat", id};
      break;
    case BatchSystem::sge:
      words = {"qstat", "-s", "prs", "-u", "*"};
      break;
    default:
      words = {"qstat", "-f", id};
      break;
  }
  const Outcome outcome = commands_.run(words, "", patience_for_state);
  if (!outcome.well()) return QueueState::unknown;
  const auto says = [&outcome](std::string_view word) { return outcome.out.find(word) != std::string::npos; };
  switch (system_) {
    case BatchSystem::slurm:
      if (says("RUNNING") || says("COMPLETING") || says("SUSPENDED")) return QueueState::running;
      return says("PENDING") || says("CONFIGURING") || says("REQUEUE") ? QueueState::waiting : QueueState::unknown;
    case BatchSystem::lsf:
      if (says("RUN") || says("SUSP")) return says("PSUSP") ? QueueState::waiting : QueueState::running;
      return says("PEND") ? QueueState::waiting : QueueState::unknown;
    case BatchSystem::sge: {
      // A line a job: its id, priority, name, user, state.
      for (std::size_t at = 0; at < outcome.out.size();) {
        const std::size_t end = std::min(outcome.out.find('\n', at), outcome.out.size());
        const std::string line = trimmed(outcome.out.substr(at, end - at));
        at = end + 1;
        if (line.rfind(id + " ", 0) != 0) continue;
        return line.find(" r ") != std::string::npos || line.find(" s ") != std::string::npos ? QueueState::running : QueueState::waiting;
      }
      return QueueState::unknown;
    }
    default:
      if (says("job_state = R") || says("job_state = E") || says("job_state = S")) return QueueState::running;
      return says("job_state = Q") || says("job_state = H") || says("job_state = W") ? QueueState::waiting : QueueState::unknown;
  }
}

void Queue::cancel(const std::string& id) {
  const char* const command = system_ == BatchSystem::slurm ? "scancel" : system_ == BatchSystem::lsf ? "bkill" : "qdel";
  const std::vector<std::string> words{command, id};
  const Outcome outcome = run_again_and_again(words, "");
  if (!outcome.well()) fail(words, outcome);
}

}  // namespace rankview::submit
