// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <typeinfo>
#include <vector>

namespace rankview::engine {

// The latest long results of this engine, for tasks that take them as arguments, here or on other engines. Oldest first, evicted from the
// front beyond 128 MiB.
class ResultCache {
 public:
  struct Entry {
    std::uint64_t call;
    const std::type_info* type;
    std::shared_ptr<const void> value;
    std::size_t bytes;
    std::vector<std::byte> encoded;
    std::vector<detail::Attachment> attachments;  // which lie in the value
  };

  // Keeps the whole result of a call, if it is long and its value owns what is attached. Gives what had to go for it: the user's, to be
  // destroyed where no lock is held.
  std::deque<Entry> add(std::uint64_t call, const detail::Writer& result, const std::type_info* type);
  // Null if it is not there any more.
  [[nodiscard]] const Entry* find(std::uint64_t call) const;
  // Empties it, and gives what there was.
  std::deque<Entry> clear();

 private:
  static constexpr std::size_t most_bytes = std::size_t{128} << 20;

  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace rankview::engine
