// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/survey.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <system_error>
#include <utility>

namespace rankview::checkpoint {
namespace {

std::vector<std::string> journals_in(Disk& disk, const std::string& directory) {
  disk.check_directory(directory);
  std::vector<std::string> names = disk.list(directory);
  const bool used = std::find(names.begin(), names.end(), used_name) != names.end();
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(journal_ending); });
  if (names.empty() && !used) throw UsageError(directory + " is no checkpoint: no journal is in it");
  return names;
}

}  // namespace

std::string to_string(const Key& key) {
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(key.high), static_cast<unsigned long long>(key.low));
  return text;
}

std::vector<std::byte> Known::value() const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(finished.size));
  bytes.resize(file.read(finished.entry + entry_head, bytes));
  return bytes;
}

Survey::Survey(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {
  for (std::string& name : journals_in(disk_, directory_)) journals_.push_back({std::move(name), 0, {}, {}, {}});
  read(Scope::all);
}

Survey::Survey(Disk& disk, std::string directory, const std::vector<std::string>& names) : disk_(disk), directory_(std::move(directory)) {
  for (const std::string& name : names) journals_.push_back({name, 0, {}, {}, {}});
  read(Scope::rewritable);
}

// What cannot be read to its end is left out wholly, so that it is not taken for the place of what others have, too.
void Survey::read(Scope scope) {
  if (journals_.size() >> Place::journal_bits != 0) throw UsageError("there are too many journals in " + directory_);
  for (bool again = true; std::exchange(again, false);) {
    contents_ = {};
    for (std::uint32_t number = 0; number < journals_.size(); ++number) {
      Surveyed& journal = journals_[number];
      if (!journal.unreadable.empty()) continue;
      journal.read = {};
      journal.damage = {};
      read(number, scope);
      again = again || !journal.unreadable.empty();
    }
  }
}

void Survey::read(std::uint32_t number, Scope scope) {
  Surveyed& journal = journals_[number];
  try {
    const auto file = disk_.open(directory_ + "/" + journal.name);
    journal.bytes = file->size();
    contents_.read(*file, number, journal.read, journal.damage);
    if (scope == Scope::rewritable && journal.damage.later != 0) journal.unreadable = "it has records that only a later rankview knows";
  } catch (const OfLaterVersion& later) {
    journal.unreadable = "it is of format " + std::to_string(later.format) + ", and this rankview knows " + std::to_string(format_version);
  } catch (const std::exception& error) {
    journal.unreadable = error.what();
  }
}

void Survey::each(const std::function<void(const Known&)>& show) {
  std::size_t section = 0;
  for (std::uint32_t number = 0; number < journals_.size(); ++number) {
    const Surveyed& journal = journals_[number];
    if (!journal.unreadable.empty()) continue;
    const auto file = disk_.open(directory_ + "/" + journal.name);
    Origin origin;
    std::map<std::uint32_t, Callable> callables;
    ++section;
    Reading reading;
    reading.origin = [&](const Origin& of) {
      origin = of;
      ++section;
    };
    reading.callable = [&](std::uint32_t callable, Callable&& what) { callables.insert_or_assign(callable, std::move(what)); };
    reading.finished = [&](const Finished& finished) {
      const auto callable = callables.find(finished.callable);
      Place place;
      const bool counts = contents_.index.find(finished.key, place) && place.journal == number && place.offset == finished.entry;
      show({journal, section, origin, callable == callables.end() ? nullptr : &callable->second, finished, counts, *file});
    };
    Damage damage;
    read_frames(*file, 0, reading, damage);
  }
}

}  // namespace rankview::checkpoint
