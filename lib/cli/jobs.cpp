// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/checkpoint.hpp"
#include "cli/submit.hpp"
#include "submit/campaign.hpp"
#include "submit/queue.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <ostream>

// What was submitted, and how it fares.
namespace rankview::cli {
namespace {

using submit::Campaign;
using submit::KnownJob;
using submit::QueueState;

std::optional<submit::BatchSystem> system_of(const Campaign& campaign) {
  for (const auto& [known, system] : submit::batch_systems) {
    if (campaign.terms().system == known) return system;
  }
  return std::nullopt;
}

// In a word; the batch system is asked only where the job itself has not said it.
std::string state_of(const Campaign& campaign, const KnownJob& job, submit::Commands& commands) {
  if (job.ended) {
    if (job.ended->code == 0) return "done";
    return job.ended->code == Campaign::requeue_code ? "drained" : "failed with exit code " + std::to_string(job.ended->code);
  }
  if (job.cancelled) return "cancelled";
  const auto system = system_of(campaign);
  const QueueState state = system ? submit::Queue(*system, commands).state(job.id) : QueueState::unknown;
  if (state == QueueState::running) return "running";
  if (state == QueueState::waiting) return "waiting";
  return job.started ? "started, and nothing is known of its end" : "submitted, and nothing more is known";
}

std::string local_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::localtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

void print(const KnownJob& job, const std::string& state, std::ostream& out) {
  out << "  " << job.id << "  " << local_time(job.submitted) << "  " << state;
  if (job.started && !job.started->host.empty()) out << ", on " << job.started->host;
  if (job.ended && job.ended->done) out << ", " << *job.ended->done << " tasks";
  out << "\n";
}

std::string as_json(const Campaign& campaign, const KnownJob& job, const std::string& state) {
  std::string text = "{\"campaign\": " + json_text(campaign.name()) + ", \"job\": " + json_text(job.id) +
                     ", \"system\": " + json_text(campaign.terms().system) + ", \"state\": " + json_text(state) +
                     ", \"submitted\": " + std::to_string(job.submitted);
  if (job.started) text += ", \"started\": " + std::to_string(job.started->time) + ", \"host\": " + json_text(job.started->host);
  if (job.ended) text += ", \"ended\": " + std::to_string(job.ended->time) + ", \"code\": " + std::to_string(job.ended->code);
  if (job.ended && job.ended->done) text += ", \"tasks\": " + std::to_string(*job.ended->done);
  return text + "}";
}

}  // namespace

int list_jobs(const std::string& name, bool json, const SubmitPlace& place, submit::Commands& commands, std::ostream& out) {
  const auto base = place.directory / ".rankview";
  std::vector<Campaign> campaigns = name.empty() ? Campaign::all(base) : std::vector<Campaign>{Campaign::open(base / name)};
  bool first = true;
  if (json) out << "[";
  for (const Campaign& campaign : campaigns) {
    if (!json) out << campaign.name() << " (" << campaign.terms().system << (campaign.terms().until_done ? ", until done" : "") << ")\n";
    for (const KnownJob& job : campaign.jobs()) {
      const std::string state = state_of(campaign, job, commands);
      if (!json) {
        print(job, state, out);
        continue;
      }
      out << (first ? "\n" : ",\n") << as_json(campaign, job, state);
      first = false;
    }
  }
  if (json) out << (first ? "]\n" : "\n]\n");
  if (!json && campaigns.empty()) out << "nothing was submitted from " << place.directory.string() << "\n";
  return 0;
}

int cancel_jobs(const std::string& which, const SubmitPlace& place, submit::Commands& commands, std::ostream& out) {
  int cancelled = 0;
  bool known = false;
  std::string trouble;
  for (const Campaign& campaign : Campaign::all(place.directory / ".rankview")) {
    const auto system = system_of(campaign);
    const bool all = campaign.name() == which;
    submit::Event event;
    event.time = place.now();
    event.kind = submit::Event::Kind::cancelled;
    // First, so that what ends because of this is not submitted again.
    if (all) campaign.add(event);
    known = known || all;
    for (const KnownJob& job : campaign.jobs()) {
      if (!all && job.id != which) continue;
      known = true;
      if (job.ended || job.cancelled || !system) continue;
      event.job = job.id;
      campaign.add(event);
      try {
        submit::Queue(*system, commands).cancel(job.id);
        out << "cancelled job " << job.id << " of " << campaign.name() << "\n";
        ++cancelled;
      } catch (const Error& error) {
        // Others can be, all the same; one that is over cannot.
        trouble += std::string(trouble.empty() ? "" : "\n") + error.what();
      }
    }
  }
  if (!known) throw UsageError("neither a campaign nor a job " + which + " was submitted from here; rankview jobs lists what was");
  if (!trouble.empty()) throw Error(trouble);
  if (cancelled == 0) out << "nothing of " << which << " waits or runs\n";
  return 0;
}

}  // namespace rankview::cli
