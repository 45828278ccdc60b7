// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rankview::checkpoint {

// A file that is read anywhere and written at its end.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  [[nodiscard]] virtual std::uint64_t size() = 0;
  // Reads what there is from an offset on, at most as much as fits. Gives how much that was.
  virtual std::size_t read(std::uint64_t offset, std::span<std::byte> into) = 0;
  // May have written a part when it throws.
  virtual void append(std::span<const std::byte> bytes) = 0;
  // What was appended survives from here on, whatever happens to the machine. After it has thrown nobody knows.
  virtual void sync() = 0;
};

// That a file is in use, until this goes, or the process.
class Hold {
 public:
  Hold() = default;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  virtual ~Hold() = default;
};

// Files in directories. All of it throws std::system_error that names the file and what was tried.
class Disk {
 public:
  Disk() = default;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  virtual ~Disk() = default;

  // Makes the directory, and those above it, if it is not there. Refuses one that others than this user may write to.
  virtual void make_directory(const std::string& path) = 0;
  // The same of one that has to be there.
  virtual void check_directory(const std::string& path) = 0;
  // The names in it, sorted.
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  // A new file, to be appended to; fails if there is one.
  virtual std::unique_ptr<File> create(const std::string& path) = 0;
  // One that is there, to be read. Refuses what is no file of this user's.
  virtual std::unique_ptr<File> open(const std::string& path) = 0;
  // Names in the directory survive from here on.
  virtual void sync_directory(const std::string& path) = 0;
  virtual void remove(const std::string& path) = 0;
  // In one step, also where a file of that name is there already.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  // Holds a file, which is made if it is not there, alone or together with others who do not want it alone. Null if it is held otherwise.
  virtual std::unique_ptr<Hold> hold(const std::string& path, bool alone) = 0;
  // Whether somebody holds it, by this name or another: false where nobody does, and only then.
  virtual bool is_held(const std::string& path) = 0;

  // Makes `to` another name of the file `from`, in one step; false if there is a file of that name that is another.
  virtual bool link(const std::string& from, const std::string& to) = 0;
  // Notes that the file is used, and gives when that was by the clock of whoever keeps the files.
  virtual std::chrono::nanoseconds touch(const std::string& path) = 0;
  // When it was touched, by that clock; nothing if it is not there.
  virtual std::optional<std::chrono::nanoseconds> touched(const std::string& path) = 0;
};

// The one that the operating system has.
[[nodiscard]] Disk& posix_disk();

}  // namespace rankview::checkpoint
