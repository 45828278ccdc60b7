// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/journals.hpp"

#include <algorithm>

namespace rankview::checkpoint {

std::uint32_t Journals::add(std::string name, bool grows) {
  all_.push_back({std::move(name), nullptr, {}, grows});
  return static_cast<std::uint32_t>(all_.size() - 1);
}

// Whoever looks for what was done in the order in which it was done finds the next ones read already.
std::size_t Journals::read(const Place& place, std::span<std::byte> into) {
  constexpr std::size_t much = 256 * 1024;
  constexpr std::size_t little = 4096;
  File& file = opened(place.journal);
  if (into.size() > little) return file.read(place.offset, into);
  const std::uint64_t behind = cached_.offset + cache_.size();
  const bool same = place.journal == cached_.journal && place.offset >= cached_.offset;
  if (!same || place.offset + into.size() > behind) {
    const bool goes_on = same && place.offset <= behind + much;
    cached_ = place;
    cache_.resize(goes_on ? much : little);
    cache_.resize(file.read(place.offset, cache_));
  }
  const auto from = static_cast<std::size_t>(place.offset - cached_.offset);
  const std::size_t count = std::min(into.size(), cache_.size() - from);
  std::copy_n(cache_.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
  return count;
}

void Journals::forget() {
  cache_.clear();
  reading_.clear();
}

// A campaign may have more journals than a process may have open files.
File& Journals::opened(std::uint32_t journal) {
  constexpr std::size_t most = 16;
  if (all_[journal].file != nullptr) return *all_[journal].file;
  for (const auto& [number, file] : reading_) {
    if (number == journal) return *file;
  }
  auto file = disk_.open(path(all_[journal].name));
  if (reading_.size() == most) reading_.pop_front();
  return *reading_.emplace_back(journal, std::move(file)).second;
}

}  // namespace rankview::checkpoint
