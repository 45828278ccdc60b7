// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/result_cache.hpp"

#include <algorithm>
#include <utility>

namespace rankview::engine {

std::deque<ResultCache::Entry> ResultCache::add(std::uint64_t call, const detail::Writer& result, const std::type_info* type) {
  std::deque<Entry> evicted;
  std::size_t bytes = 0;
  for (const detail::Attachment& attachment : result.attachments) bytes += attachment.size;
  if (bytes == 0 || bytes > most_bytes || result.kept.size() != 1 || type == nullptr) return evicted;
  const auto encoded = result.bytes.bytes();
  entries_.push_back({call, type, result.kept.front(), bytes, {encoded.begin(), encoded.end()}, result.attachments});
  bytes_ += bytes;
  while (bytes_ > most_bytes) {
    bytes_ -= entries_.front().bytes;
    evicted.push_back(std::move(entries_.front()));
    entries_.pop_front();
  }
  return evicted;
}

const ResultCache::Entry* ResultCache::find(std::uint64_t call) const {
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), [call](const Entry& entry) { return entry.call == call; });
  return found == entries_.rend() ? nullptr : &*found;
}

std::deque<ResultCache::Entry> ResultCache::clear() {
  bytes_ = 0;
  return std::exchange(entries_, {});
}

}  // namespace rankview::engine
