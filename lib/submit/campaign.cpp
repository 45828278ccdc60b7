// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/campaign.hpp"

#include "isolation/fd.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::submit {
namespace {

constexpr std::array<std::pair<std::string_view, Event::Kind>, 5> kinds{{{"submitted", Event::Kind::submitted},
                                                                         {"started", Event::Kind::started},
                                                                         {"ended", Event::Kind::ended},
                                                                         {"cancelled", Event::Kind::cancelled},
                                                                         {"given_up", Event::Kind::given_up}}};

void write_file(const std::filesystem::path& path, const std::string& text, int flags, mode_t mode) {
  const isolation::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode));
  // One write: lines of several jobs do not mix.
  const ssize_t written = file ? ::write(file.get(), text.data(), text.size()) : -1;
  if (written != static_cast<ssize_t>(text.size()))
    throw std::system_error(written < 0 ? errno : ENOSPC, std::generic_category(), path.string());
}

// What stands between tabs.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find('\t', at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

template <class Number>
bool parse(const std::string& text, Number& number) {
  const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && behind == text.data() + text.size();
}

// Nothing that would be taken for the end of a field.
std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
  return text;
}

std::optional<Event> event_of(const std::string& line) {
  const std::vector<std::string> fields = fields_of(line);
  Event event;
  if (fields.size() != 6 || !parse(fields[0], event.time) || !parse(fields[4], event.code)) return std::nullopt;
  const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& known) { return known.first == fields[1]; });
  if (kind == kinds.end()) return std::nullopt;
  event.kind = kind->second;
  event.job = fields[2];
  event.host = fields[3];
  std::uint64_t done = 0;
  if (parse(fields[5], done)) event.done = done;
  return event;
}

}  // namespace

const char* to_string(Event::Kind kind) {
  return std::find_if(kinds.begin(), kinds.end(), [kind](const auto& known) { return known.second == kind; })->first.data();
}

Campaign Campaign::create(const std::filesystem::path& base, const std::string& name, const Terms& terms) {
  std::filesystem::create_directories(base);
  std::filesystem::path directory = base / name;
  for (int number = 2; !std::filesystem::create_directory(directory); ++number) directory = base / (name + "-" + std::to_string(number));
  write_file(directory / "terms", "system=" + terms.system + "\nuntil_done=" + (terms.until_done ? "1" : "0") + "\n", O_EXCL, 0644);
  return {std::filesystem::absolute(directory), terms};
}

Campaign Campaign::open(const std::filesystem::path& directory) {
  std::ifstream file(directory / "terms");
  if (!file) throw UsageError("there is no campaign " + directory.string() + "; rankview jobs lists those that are here");
  Terms terms;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("system=", 0) == 0) terms.system = line.substr(7);
    if (line == "until_done=1") terms.until_done = true;
  }
  if (terms.system.empty()) throw UsageError(directory.string() + "/terms does not say which batch system its jobs are in");
  return {std::filesystem::absolute(directory), terms};
}

std::vector<Campaign> Campaign::all(const std::filesystem::path& base) {
  std::vector<std::filesystem::path> directories;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(base, none)) {
    if (std::filesystem::exists(entry.path() / "terms")) directories.push_back(entry.path());
  }
  std::sort(directories.begin(), directories.end());
  std::vector<Campaign> campaigns;
  for (const auto& directory : directories) campaigns.push_back(open(directory));
  return campaigns;
}

void Campaign::write_script(const std::string& text) const { write_file(script(), text, O_TRUNC, 0755); }

void Campaign::add(const Event& event) const {
  write_file(directory_ / "record",
             std::to_string(event.time) + "\t" + to_string(event.kind) + "\t" + plain(event.job) + "\t" + plain(event.host) + "\t" +
                 std::to_string(event.code) + "\t" + (event.done ? std::to_string(*event.done) : "") + "\n",
             O_APPEND, 0644);
}

std::vector<Event> Campaign::events() const {
  std::vector<Event> events;
  std::ifstream file(directory_ / "record");
  for (std::string line; std::getline(file, line);) {
    if (auto event = event_of(line)) events.push_back(std::move(*event));
  }
  return events;
}

std::vector<KnownJob> Campaign::jobs() const {
  std::vector<KnownJob> jobs;
  for (const Event& event : events()) {
    if (event.job.empty()) continue;
    auto job = std::find_if(jobs.begin(), jobs.end(), [&event](const KnownJob& known) { return known.id == event.job; });
    if (job == jobs.end()) {
      job = jobs.insert(job, KnownJob{event.job, event.time, {}, {}});
    }
    if (event.kind == Event::Kind::started) job->started = event;
    if (event.kind == Event::Kind::ended) job->ended = event;
    if (event.kind == Event::Kind::cancelled) job->cancelled = true;
  }
  return jobs;
}

bool Campaign::goes_on(const std::string& job, std::string& why_not) const {
  if (!terms_.until_done) return false;
  std::size_t barren = 0;
  for (const Event& event : events()) {
    if (event.kind == Event::Kind::cancelled && (event.job.empty() || event.job == job)) return false;
    if (event.kind == Event::Kind::ended) barren = event.done.value_or(0) == 0 ? barren + 1 : 0;
  }
  if (barren < most_barren) return true;
  why_not = "in " + std::to_string(barren) +
            " allocations in a row no task has ended, so it is not submitted again; is the time too short for one?";
  return false;
}

}  // namespace rankview::submit
