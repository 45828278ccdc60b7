// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/disk.hpp"
#include "checkpoint/frames.hpp"
#include "support.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// A disk in memory, and checkpoints on it that hold numbers.
namespace unit::checkpoint {

namespace cp = rankview::checkpoint;

using Content = std::vector<std::byte>;

// Files in memory, of which what was not synced may be lost.
class MemoryDisk final : public cp::Disk {
 public:
  struct Kept {
    Content bytes;
    std::size_t synced = 0;
  };

  // Before each write, sync, creation, removal and renaming, with its number: gives how many bytes are written, or `none` to have it fail.
  std::function<std::size_t(std::size_t number, std::size_t bytes)> fault;
  std::map<std::string, std::shared_ptr<Kept>> files;
  std::string unreadable;   // the file that cannot be read beyond some point
  bool unholdable = false;  // there are no locks

  // What there is when the machine has gone down: of files what was synced; of names those of now, or those of the last time when the
  // directory was synced.
  void crash(bool with_names) {
    const std::lock_guard guard(mutex_);
    if (!with_names) files = named_;
    for (auto& [path, kept] : files) kept->bytes.resize(kept->synced);
    named_ = files;
  }

  void make_directory(const std::string&) override {}
  void check_directory(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    const auto within = [&path](const auto& file) { return file.first.starts_with(path + "/"); };
    if (std::none_of(files.begin(), files.end(), within)) fail(ENOENT, path);
  }
  std::vector<std::string> list(const std::string& directory) override {
    const std::lock_guard guard(mutex_);
    std::vector<std::string> names;
    for (const auto& [path, kept] : files) {
      if (path.starts_with(directory + "/")) names.push_back(path.substr(directory.size() + 1));
    }
    return names;
  }
  std::unique_ptr<cp::File> create(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!happens(0)) fail(ENOSPC, path);
    const auto [at, made] = files.try_emplace(path, std::make_shared<Kept>());
    if (!made) fail(EEXIST, path);
    return std::make_unique<Open>(*this, at->second, path);
  }
  std::unique_ptr<cp::File> open(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!files.contains(path)) fail(ENOENT, path);
    return std::make_unique<Open>(*this, files.at(path), path);
  }
  void sync_directory(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!happens(0)) fail(EIO, path);
    named_ = files;
  }
  void remove(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!happens(0)) fail(EIO, path);
    files.erase(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    const std::lock_guard guard(mutex_);
    if (!files.contains(from)) fail(ENOENT, from);
    if (!happens(0)) fail(EIO, from);
    files[to] = files.at(from);
    files.erase(from);
  }
  std::unique_ptr<cp::Hold> hold(const std::string& path, bool alone) override {
    const std::lock_guard guard(mutex_);
    if (unholdable) fail(ENOLCK, path);
    int& holders = holders_[path];
    if (alone ? holders != 0 : holders < 0) return nullptr;
    holders = alone ? -1 : holders + 1;
    return std::make_unique<Held>(*this, path);
  }

 private:
  class Held final : public cp::Hold {
   public:
    Held(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    ~Held() override {
      const std::lock_guard guard(disk_.mutex_);
      int& holders = disk_.holders_[path_];
      holders = holders < 0 ? 0 : holders - 1;
    }

   private:
    MemoryDisk& disk_;
    const std::string path_;
  };
  class Open final : public cp::File {
   public:
    Open(MemoryDisk& disk, std::shared_ptr<Kept> kept, std::string path) : disk_(disk), kept_(std::move(kept)), path_(std::move(path)) {}
    std::uint64_t size() override {
      const std::lock_guard guard(disk_.mutex_);
      return kept_->bytes.size();
    }
    std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
      const std::lock_guard guard(disk_.mutex_);
      if (path_ == disk_.unreadable && offset != 0) fail(EIO, path_);
      const auto from = std::min(static_cast<std::size_t>(offset), kept_->bytes.size());
      const std::size_t count = std::min(into.size(), kept_->bytes.size() - from);
      if (count != 0) std::memcpy(into.data(), kept_->bytes.data() + from, count);
      return count;
    }
    void append(std::span<const std::byte> bytes) override {
      const std::lock_guard guard(disk_.mutex_);
      const std::size_t written = disk_.allowed(bytes.size());
      kept_->bytes.insert(kept_->bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(written));
      if (written != bytes.size()) fail(ENOSPC, "append");
    }
    void sync() override {
      const std::lock_guard guard(disk_.mutex_);
      if (!disk_.happens(0)) fail(EIO, "sync");
      kept_->synced = kept_->bytes.size();
    }

   private:
    MemoryDisk& disk_;
    std::shared_ptr<Kept> kept_;
    const std::string path_;
  };

  [[noreturn]] static void fail(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }
  // How many of so many bytes this operation writes; one too few is a failure.
  std::size_t allowed(std::size_t bytes) { return fault ? std::min(bytes, fault(operations_++, bytes)) : bytes; }
  bool happens(std::size_t bytes) { return !fault || fault(operations_++, bytes) != none; }

 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

 private:
  std::mutex mutex_;
  std::size_t operations_ = 0;
  std::map<std::string, std::shared_ptr<Kept>> named_;  // when the directory was last synced
  std::map<std::string, int> holders_;                  // of each file; -1: one, alone
};

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
