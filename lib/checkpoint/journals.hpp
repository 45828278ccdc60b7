// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/contents.hpp"
#include "checkpoint/disk.hpp"
#include "checkpoint/index.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rankview::checkpoint {

// The journals of a directory by number, and their bytes by place. Not thread-safe.
class Journals {
 public:
  struct Journal {
    std::string name;
    std::unique_ptr<File> file;  // of ours, once there is anything in it
    ReadSoFar read;              // of others'
    bool grows = true;           // as far as is known, since its job is there
  };

  Journals(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  Journal& operator[](std::size_t number) { return all_[number]; }
  // Whether there can be no further one.
  [[nodiscard]] bool full() const { return all_.size() >> Place::journal_bits != 0; }
  // Gives its number.
  std::uint32_t add(std::string name, bool grows);
  // The one that was added last is not needed.
  void remove_last() { all_.pop_back(); }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }

  // What is on disk from a place on; gives how much of that there is. Throws std::system_error.
  std::size_t read(const Place& place, std::span<std::byte> into);
  // What was read may have changed.
  void forget();

 private:
  File& opened(std::uint32_t journal);

  Disk& disk_;
  const std::string directory_;
  std::vector<Journal> all_;
  std::deque<std::pair<std::uint32_t, std::unique_ptr<File>>> reading_;  // of others' the latest, by number
  std::vector<std::byte> cache_;                                         // what lies at cached_
  Place cached_;
};

}  // namespace rankview::checkpoint
