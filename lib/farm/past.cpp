// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/past.hpp"

#include "checkpoint/key.hpp"
#include "farm/job_log.hpp"

#include <rankview/errors.hpp>

#include <unistd.h>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

namespace rankview::farm {
namespace {

// A list of more commands is none, and a log with such a number is damaged.
constexpr std::uint64_t highest_number = 1U << 30U;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string outcome_text(const End& end) {
  if (end.cause == Cause::timeout) return "took too long";
  if (end.cause == Cause::memory) return "had too much memory";
  if (end.cause == Cause::refused) return "could not be started: " + end.trouble;
  if (end.signal != 0) return "signal " + std::to_string(end.signal) + " (" + ::strsignal(end.signal) + ")";
  return "exit status " + std::to_string(end.status);
}

checkpoint::Checkpoint::Settings settings_of(const std::string& host, std::function<void(const std::string&)> warn) {
  checkpoint::Checkpoint::Settings settings;
  settings.origin.host = host;
  settings.origin.process = static_cast<std::uint64_t>(::getpid());
  settings.origin.began = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code unknown;
  settings.origin.program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  settings.warn = std::move(warn);
  return settings;
}

}  // namespace

bool is_chosen(Choice choice, Was was) {
  switch (choice) {
    case Choice::not_done:
      return was == Was::unknown;
    case Choice::not_good:
      return was != Was::succeeded;
    case Choice::only_failed:
      return was == Was::failed;
    default:
      return true;
  }
}

LoggedPast::LoggedPast(const std::string& path) {
  JobLog::read(path, [&](const LoggedJob& job) {
    if (job.number > highest_number) throw UsageError(path + " has a command with the number " + std::to_string(job.number));
    if (job.number >= by_number_.size()) by_number_.resize(job.number + job.number / 2 + 1);
    by_number_[job.number] = job.succeeded ? Was::succeeded : Was::failed;
  });
}

Was LoggedPast::find(Job& job) { return job.number < by_number_.size() ? by_number_[job.number] : Was::unknown; }

std::uint32_t Occurrences::count(std::string_view text) {
  if (2 * (used_ + 1) > entries_.size()) grow();
  const std::uint64_t hash = checkpoint::checksum(bytes_of(text));
  Entry& entry = find(hash);
  if (entry.times == 0) {
    entry.text = hash;
    ++used_;
  }
  return entry.times++;
}

Occurrences::Entry& Occurrences::find(std::uint64_t text) {
  const std::size_t mask = entries_.size() - 1;
  std::size_t at = text & mask;
  while (entries_[at].times != 0 && entries_[at].text != text) at = (at + 1) & mask;
  return entries_[at];
}

void Occurrences::grow() {
  const std::vector<Entry> old = std::exchange(entries_, std::vector<Entry>(entries_.empty() ? 1024 : 2 * entries_.size()));
  for (const Entry& entry : old) {
    if (entry.times != 0) find(entry.text) = entry;
  }
}

KeptPast::KeptPast(checkpoint::Disk& disk, const std::string& directory, const std::string& host,
                   std::function<void(const std::string&)> warn)
    : checkpoint_(disk, directory, settings_of(host, std::move(warn))),
      callable_(checkpoint_.enlist({"rankview farm", "", "text", "command"})) {}

Was KeptPast::find(Job& job) {
  const std::uint32_t earlier = occurrences_.count(job.command.text);
  job.key = checkpoint::key_of(bytes_of(job.command.text), earlier);
  found_.clear();
  switch (checkpoint_.find(*job.key, found_)) {
    case checkpoint::Found::result:
      return Was::succeeded;
    case checkpoint::Found::failure:
      return Was::failed;
    default:
      return Was::unknown;
  }
}

void KeptPast::add(const End& end) {
  if (!end.job.key) return;
  const std::string text = outcome_text(end) + " on " + (end.host.empty() ? std::string("this host") : end.host) + ": " + end.command;
  if (end.succeeded()) {
    checkpoint_.add(callable_, *end.job.key, bytes_of(text));
  } else {
    checkpoint_.add_failure(callable_, *end.job.key, text);
  }
}

std::string KeptPast::finish() {
  if (checkpoint_.flush(std::chrono::seconds(60))) return "";
  return "not all that was done could be kept in " + checkpoint_.directory() + ": " + checkpoint_.trouble();
}

}  // namespace rankview::farm
