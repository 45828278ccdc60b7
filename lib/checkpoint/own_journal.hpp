// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/frames.hpp"
#include "checkpoint/index.hpp"

#include <rankview/detail/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace rankview::checkpoint {

// The bytes of the journal that this job writes: what is on disk is followed by what is being written, and that by what was added since.
// Not thread-safe, but that nobody changes what is being written.
class OwnJournal {
 public:
  // Whether there is one, and its number among all.
  [[nodiscard]] bool begun() const { return number_ != none; }
  [[nodiscard]] std::uint32_t number() const { return number_; }
  // How many there have been, for their names.
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // One of that number from here on, of which nothing is on disk.
  void begin(std::uint32_t number, const Origin& origin, const std::vector<Callable>& callables);

  void add(std::uint32_t number, const Callable& callable);
  // Give where the entry lies.
  Place add(std::uint32_t callable, const Key& key, Bytes value);
  Place add_failure(std::uint32_t callable, const Key& key, std::string_view why);
  // When what is added from here on was finished, in seconds since the journal's beginning.
  void set_age(std::uint32_t age) { frames_.set_age(age); }

  [[nodiscard]] bool on_disk(const Place& place) const { return place.journal != number_ || place.offset < written_; }
  // Whether any of it is.
  [[nodiscard]] bool any_on_disk() const { return written_ != 0; }
  [[nodiscard]] std::size_t unwritten() const { return writing_.size() + tail_.size(); }
  // What is not on disk, from a place on; gives how much of that there is.
  std::size_t read(const Place& place, std::span<std::byte> into) const;

  // What was added is to be written.
  void begin_writing();
  [[nodiscard]] Bytes writing() const { return writing_.bytes(); }
  // It is on disk.
  void end_writing();
  // It may be, or not: all that is not known to be is taken out of this journal, to be added to another.
  detail::Buffer give_up();
  // Adds what was given up; `moved` is told the place of each.
  void add_again(const detail::Buffer& given_up, const std::function<void(const Key&, const Place&)>& moved);

 private:
  static constexpr std::uint32_t none = static_cast<std::uint32_t>(-1);

  std::uint32_t number_ = none;
  std::uint64_t count_ = 0;
  std::uint64_t written_ = 0;
  detail::Buffer writing_;
  detail::Buffer tail_;
  ResultFrames frames_;  // of the tail
};

}  // namespace rankview::checkpoint
