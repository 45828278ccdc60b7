// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/contents.hpp"
#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rankview::checkpoint {

// A key as it is written, 32 hexadecimal digits.
std::string to_string(const Key& key);

// A journal, for whoever looks after a directory of them.
struct Surveyed {
  std::string name;
  std::uint64_t bytes = 0;
  ReadSoFar read;
  Damage damage;
  std::string unreadable;  // why nothing of it is used; empty if it is
};

// What has been finished, with all that is known of it.
struct Known {
  const Surveyed& journal;
  std::size_t section;  // changes where another job has written on
  const Origin& origin;
  const Callable* callable;  // null if its name is lost
  const Finished& finished;
  bool counts;  // it is what a job would find of its key
  File& file;

  // The value, or the text of the failure. Throws std::system_error.
  [[nodiscard]] std::vector<std::byte> value() const;
};

// Which journals a survey is about.
enum class Scope {
  all,         // all that can be read
  rewritable,  // those that can be read whole, and of which nothing is lost if they are written anew
};

// All journals of a directory, read from beginning to end. For a tool: an index of what they hold is in memory, the values are not.
class Survey {
 public:
  // Throws UsageError for what is no checkpoint, and std::system_error.
  Survey(Disk& disk, std::string directory);
  // Only of some of its journals, and of these those that can be rewritten.
  Survey(Disk& disk, std::string directory, const std::vector<std::string>& names);

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::vector<Surveyed>& journals() const { return journals_; }
  // Of how many keys something is there.
  [[nodiscard]] std::size_t size() const { return contents_.index.size(); }
  // Reads them again and shows what is there, journal by journal. Throws what its argument throws, and std::system_error.
  void each(const std::function<void(const Known&)>& show);

 private:
  void read(Scope scope);
  void read(std::uint32_t number, Scope scope);

  Disk& disk_;
  const std::string directory_;
  std::vector<Surveyed> journals_;
  Contents contents_;
};

}  // namespace rankview::checkpoint
