// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "../memory_disk.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"
#include "support.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// A disk in memory, and checkpoints on it that hold numbers.
namespace unit::checkpoint {

namespace cp = rankview::checkpoint;

using test::Content;
using test::MemoryDisk;

inline cp::Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(const rankview::detail::Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), buffer.size()}; }
inline cp::Key key(std::uint64_t number) { return cp::key_of(std::as_bytes(std::span(&number, 1)), 7); }
// Long enough that some are alone in a frame.
inline std::string value(std::uint64_t number) {
  return std::string(number % 7 == 0 ? 100'000 : number % 50, 'a') + std::to_string(number);
}

struct Warnings {
  std::mutex mutex;
  std::vector<std::string> lines;
};

inline cp::Checkpoint::Settings settings(Warnings& warnings) {
  cp::Checkpoint::Settings settings;
  settings.origin.host = "here";
  static std::uint64_t processes = 0;
  settings.origin.process = ++processes;
  settings.retry = std::chrono::milliseconds(1);
  settings.warn = [&warnings](const std::string& line) {
    const std::lock_guard guard(warnings.mutex);
    warnings.lines.push_back(line);
  };
  return settings;
}

inline const cp::Callable squares{"square", "", "int", "square(int)"};

// How many of these numbers are found, with their values; none may have another.
inline std::size_t count_found(cp::Checkpoint& checkpoint, std::uint64_t numbers) {
  std::size_t found = 0;
  for (std::uint64_t i = 0; i < numbers; ++i) {
    rankview::detail::Buffer into;
    const cp::Found what = checkpoint.find(key(i), into);
    if (what == cp::Found::nothing) continue;
    CHECK(what == cp::Found::result);
    CHECK(text_of(into) == value(i));
    ++found;
  }
  return found;
}

// A journal with the first so many numbers.
inline void fill(MemoryDisk& disk, std::uint64_t numbers, std::uint64_t first = 0) {
  Warnings warnings;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  const std::uint32_t callable = checkpoint.enlist(squares);
  for (std::uint64_t i = first; i < first + numbers; ++i) checkpoint.add(callable, key(i), bytes_of(value(i)));
  CHECK(checkpoint.flush());
  CHECK(warnings.lines.empty());
}

}  // namespace unit::checkpoint
