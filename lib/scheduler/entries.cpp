// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/entries.hpp"

#include <algorithm>
#include <iterator>

// An item that is taken out of what waits.
namespace rankview::scheduler {

std::vector<Entry> Entry::cut_out(std::uint64_t item) {
  std::vector<Entry> rest;
  const auto keep = [&](std::uint64_t begin, std::uint64_t end, std::uint64_t in_chunks) {
    if (begin != end) rest.push_back({terms, call, begin, end - begin, in_chunks});
  };
  if (!terms->in_chunks) {
    keep(item + 1, end(), end() - item - 1);
    count = item - first;
    chunks = count;
    return rest;
  }
  for (std::uint64_t at = chunk; at < chunks; ++at) {
    const std::uint64_t begin = boundary(at);
    const std::uint64_t behind = boundary(at + 1);
    if (item < begin || item >= behind) {
      keep(begin, behind, 1);
    } else {
      keep(begin, item, 1);
      keep(item + 1, behind, 1);
    }
  }
  chunk = chunks;
  return rest;
}

bool Entries::cut_out(std::uint64_t call, std::uint64_t item) {
  const auto has = [&](const Entry& entry) { return entry.call == call && entry.gang == nullptr && entry.has(item); };
  // What is left stands in its place.
  if (const auto entry = std::find_if(in_order_.begin(), in_order_.end(), has); entry != in_order_.end()) {
    std::vector<Entry> rest = entry->cut_out(item);
    in_order_.insert(std::next(entry), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return true;
  }
  const auto entry = std::find_if(late_.begin(), late_.end(), has);
  if (entry == late_.end()) return false;
  Entry cut = std::move(late_.extract(entry).value());
  for (Entry& part : cut.cut_out(item)) late_.insert(std::move(part));
  if (!cut.over()) late_.insert(std::move(cut));
  return true;
}

}  // namespace rankview::scheduler
