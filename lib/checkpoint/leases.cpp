// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/leases.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <span>
#include <system_error>
#include <utility>

namespace rankview::checkpoint {
namespace {

// Reads the number that stands there, and what separates it from the next. False if that is none.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty()) {
    if (text.front() != '-') return false;
    text.remove_prefix(1);
  }
  return true;
}

// The host of a job that is called HOST-PROCESS-BEGAN.
std::string_view host_of(std::string_view job) {
  for (int parts = 0; parts < 2; ++parts) job = job.substr(0, std::min(job.size(), job.rfind('-')));
  return job;
}

// Somebody else may have done so.
void remove_if_there(Disk& disk, const std::string& path) {
  try {
    disk.remove(path);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
  }
}

}  // namespace

Leases::Leases(Disk& disk, std::string directory, const std::string& job, std::chrono::nanoseconds stale, const transport::Clock& clock)
    : disk_(disk), directory_(std::move(directory)), job_(std::string(job_beginning) + job), stale_(stale) {
  try {
    disk_.create(path(job_))->append(std::as_bytes(std::span(job_)));
    hold(clock);
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
}

void Leases::hold(const transport::Clock& clock) {
  constexpr int most = 100;
  try {
    // Somebody who asks whether it is held may hold it for a moment.
    for (int tries = 0; tries < most && (hold_ = disk_.hold(path(job_), true)) == nullptr; ++tries)
      clock.sleep(std::chrono::milliseconds(10));
  } catch (const std::system_error&) {
    // Where files cannot be held the time alone has to do.
    return;
  }
  if (hold_ == nullptr) throw std::system_error(std::make_error_code(std::errc::device_or_resource_busy), path(job_));
}

Leases::~Leases() {
  try {
    while (!held_.empty()) drop(held_.begin()->first);
    disk_.remove(path(job_));
  } catch (const std::exception&) {
    // They will be stale.
  }
}

std::string Leases::lease_name(std::uint32_t of, std::uint64_t number) {
  return std::string(lease_beginning) + std::to_string(buckets) + "-" + std::to_string(of) + "-" + std::to_string(number);
}

Leases::Seen Leases::list() const {
  Seen seen;
  for (std::string& name : disk_.list(directory_)) {
    if (name.starts_with(job_beginning)) {
      if (name != job_) seen.jobs.push_back(std::move(name));
      continue;
    }
    if (!name.starts_with(lease_beginning)) continue;
    std::string_view rest = std::string_view(name).substr(lease_beginning.size());
    std::uint64_t of_so_many = 0;
    std::uint64_t of = 0;
    std::uint64_t number = 0;
    if (take_number(rest, of_so_many) && take_number(rest, of) && take_number(rest, number) && of_so_many == buckets && of <= all)
      seen.leases[static_cast<std::uint32_t>(of)].insert(number);
  }
  return seen;
}

bool Leases::is_fresh(const std::string& name) const {
  const std::optional<std::chrono::nanoseconds> touched = disk_.touched(path(name));
  return touched && now_ - *touched < stale_ && (disk_.is_held(path(name)) || !is_of_this_host(name));
}

// A file system may have locks that are seen on the host only that has them.
bool Leases::is_of_this_host(const std::string& name) const {
  std::string job(most_of_name, '\0');
  try {
    job.resize(disk_.open(path(name))->read(0, std::as_writable_bytes(std::span(job))));
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
    return true;
  }
  return host_of(job) == host_of(job_);
}

bool Leases::is_others(const Seen& seen, std::uint32_t of) const {
  const auto found = seen.leases.find(of);
  if (found == seen.leases.end()) return false;
  const std::uint64_t highest = *found->second.rbegin();
  const auto ours = held_.find(of);
  if (ours != held_.end() && ours->second >= highest) return false;
  return is_fresh(lease_name(of, highest));
}

bool Leases::any_bucket_of_others(const Seen& seen) const {
  for (const auto& [of, numbers] : seen.leases) {
    if (of != all && is_others(seen, of)) return true;
  }
  return false;
}

// Of several who try, one has it. What is below it is stale, and goes.
bool Leases::take(const Seen& seen, std::uint32_t of) {
  const auto found = seen.leases.find(of);
  const std::uint64_t number = found == seen.leases.end() ? 0 : *found->second.rbegin() + 1;
  if (!disk_.link(path(job_), path(lease_name(of, number)))) return false;
  held_[of] = number;
  if (found != seen.leases.end()) {
    for (const std::uint64_t lower : found->second) remove_if_there(disk_, path(lease_name(of, lower)));
  }
  return true;
}

void Leases::drop(std::uint32_t of) {
  const auto found = held_.find(of);
  if (found == held_.end()) return;
  const std::string name = lease_name(of, found->second);
  held_.erase(found);
  remove_if_there(disk_, path(name));
}

void Leases::switch_off(const std::string& why) {
  mode_ = Mode::off;
  trouble_ = why;
  held_.clear();
}

// Where this job belongs that has nothing yet.
void Leases::find_place(const Seen& seen) {
  if (any_bucket_of_others(seen)) {
    // What somebody had who was alone, and has died, is taken from there by whoever wants it.
    if (!is_others(seen, all)) mode_ = Mode::sharing;
    return;
  }
  if (is_others(seen, all) || !take(seen, all)) return;
  // Somebody may have taken a bucket meanwhile.
  if (any_bucket_of_others(list())) {
    drop(all);
    mode_ = Mode::sharing;
  } else {
    mode_ = Mode::alone;
  }
}

void Leases::note_lost(const Seen& seen, Changes& changes) {
  for (auto at = held_.begin(); at != held_.end();) {
    const auto found = seen.leases.find(at->first);
    if (found != seen.leases.end() && *found->second.rbegin() == at->second) {
      ++at;
      continue;
    }
    if (at->first == all) {
      mode_ = Mode::waiting;
    } else {
      changes.lost.push_back(at->first);
    }
    at = held_.erase(at);
  }
}

Leases::Changes Leases::look() {
  Changes changes;
  if (mode_ == Mode::off) return changes;
  try {
    now_ = disk_.touch(path(job_));
    const Seen seen = list();
    note_lost(seen, changes);
    if (mode_ == Mode::waiting) find_place(seen);
    if (mode_ == Mode::alone) {
      for (const std::string& job : seen.jobs) {
        if (is_fresh(job)) mode_ = Mode::asked;
      }
    }
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
  return changes;
}

Leases::Changes Leases::get(const std::vector<std::uint32_t>& wanted, std::size_t most) {
  Changes changes;
  if (mode_ != Mode::sharing || wanted.empty()) return changes;
  try {
    const Seen seen = list();
    // Who has just come, and thinks that it is alone, will see this job.
    if (is_others(seen, all)) return changes;
    for (const std::uint32_t bucket : wanted) {
      if (changes.gained.size() == most) break;
      if (held_.contains(bucket) || is_others(seen, bucket) || !take(seen, bucket)) continue;
      changes.gained.push_back(bucket);
    }
    if (!changes.gained.empty() && is_others(list(), all)) {
      for (const std::uint32_t bucket : changes.gained) drop(bucket);
      changes.gained.clear();
    }
  } catch (const std::exception& error) {
    switch_off(error.what());
    changes = {};
  }
  return changes;
}

Leases::Changes Leases::share(const std::vector<std::uint32_t>& begun) {
  Changes changes;
  if (mode_ != Mode::asked) return changes;
  try {
    const Seen seen = list();
    for (const std::uint32_t bucket : begun) {
      if (!held_.contains(bucket) && !is_others(seen, bucket) && take(seen, bucket)) changes.gained.push_back(bucket);
    }
    drop(all);
    mode_ = Mode::sharing;
  } catch (const std::exception& error) {
    switch_off(error.what());
    changes = {};
  }
  return changes;
}

void Leases::give_back(std::uint32_t bucket) {
  try {
    drop(bucket);
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
}

}  // namespace rankview::checkpoint
