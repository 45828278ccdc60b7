// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"
#include "checkpoint/key.hpp"

#include <rankview/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How a journal lies on disk: frames behind each other, each beginning at a multiple of eight bytes with a marker, a kind, a length and a
// checksum. Whoever reads one goes on at the next marker after a frame that is damaged, and can do so after any byte that is missing.
namespace rankview::checkpoint {

using Bytes = std::span<const std::byte>;

inline constexpr std::uint32_t format_version = 1;

enum class FrameKind : std::uint32_t {
  begin = 1,     // of a journal: its format, and who writes it
  function = 2,  // what is called, by a number of this journal's
  results = 3,   // of one function, several
  failure = 4,   // of one item
};

// Who writes a journal.
struct Origin {
  std::uint32_t format = format_version;
  std::string host;
  std::uint64_t process = 0;
  std::int64_t began = 0;  // nanoseconds since the epoch
  std::string program;
};

// What is called, and what it gives.
struct Callable {
  std::string name;  // as the compiler has it, which no other has
  std::string version;
  std::string result;  // the type
  std::string shown;   // the name as it is written

  friend auto operator<=>(const Callable&, const Callable&) = default;
};

// ---- writing ----

// Adds a frame that is whole.
void write(detail::Buffer& to, const Origin& origin);
void write(detail::Buffer& to, std::uint32_t number, const Callable& callable);
// `age`: when it was finished, in seconds since the journal's beginning.
void write_failure(detail::Buffer& to, std::uint32_t callable, const Key& key, std::string_view why, std::uint32_t age);

// Adds frames of results, several to each.
class ResultFrames {
 public:
  // Adds one, and gives how far from the beginning of `to` its entry lies; see read_entry().
  std::size_t add(detail::Buffer& to, std::uint32_t callable, const Key& key, Bytes value);
  // Closes the frame that is open, whose checksum is not known before.
  void close(detail::Buffer& to);
  [[nodiscard]] bool open() const { return begin_ != none; }
  // When those in the open frame, and in those to come, were finished, in seconds since the journal's beginning.
  void set_age(std::uint32_t age) { age_ = age; }
  [[nodiscard]] std::uint32_t age() const { return age_; }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t begin_ = none;  // of the open frame, in the buffer
  std::uint32_t callable_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t age_ = 0;
};

// ---- reading ----

// What has been finished, as a journal has it.
struct Finished {
  std::uint32_t callable = 0;
  Key key;
  std::uint64_t entry = 0;  // where read_entry() finds it
  std::uint64_t size = 0;   // of the value, or of the text of the failure
  bool failed = false;
  std::uint32_t age = 0;  // in seconds since the journal's beginning, within one
};

// What is found in a journal, in the order in which it lies there. Throws what its functions throw.
struct Reading {
  std::function<void(const Origin&)> origin;
  std::function<void(std::uint32_t number, Callable&&)> callable;
  std::function<void(const Finished&)> finished;
};

// What a journal has besides.
struct Damage {
  std::uint64_t bytes = 0;  // that cannot be read
  std::uint64_t first = 0;  // where the first of them are
  bool cut = false;         // the last frame is not whole, since whoever wrote it was stopped
  std::uint64_t later = 0;  // frames of kinds that only a later version knows
};

// Reads from `begin` on, which is where a frame begins; gives where the next would begin. A frame that is not whole at the end of the file
// may be being written, and is read the next time.
std::uint64_t read_frames(File& file, std::uint64_t begin, const Reading& reading, Damage& damage);

// The size of an entry's beginning, and what is behind it.
inline constexpr std::size_t entry_head = sizeof(Key) + sizeof(std::uint64_t);
// In a frame of write_failure(), where it is.
inline constexpr std::size_t failure_entry = 40;
struct Entry {
  Key key;
  std::uint64_t size = 0;  // of the value, or the text of the failure
};
Entry read_entry(std::span<const std::byte, entry_head> bytes);

}  // namespace rankview::checkpoint
