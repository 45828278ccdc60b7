// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

using Content = std::vector<std::byte>;

// Files in memory, of which what was not synced may be lost.
class MemoryDisk final : public rankview::checkpoint::Disk {
 public:
  struct Kept {
    Content bytes;
    std::size_t synced = 0;
    std::chrono::nanoseconds touched{0};
  };

  // Before each write, sync, creation, removal and renaming, with its number: gives how many bytes are written, or `none` to have it fail.
  std::function<std::size_t(std::size_t number, std::size_t bytes)> fault;
  std::map<std::string, std::shared_ptr<Kept>> files;
  std::string unreadable;   // the file that cannot be read beyond some point
  bool unholdable = false;  // there are no locks
  bool unlinkable = false;  // no file has two names
  // What time it is by whoever keeps the files.
  std::function<std::chrono::nanoseconds()> clock;
  std::chrono::nanoseconds now{1'000'000'000'000};  // where there is no clock

  // What there is when the machine has gone down: of files what was synced; of names those of now, or those of the last time when the
  // directory was synced.
  void crash(bool with_names) {
    const std::lock_guard guard(mutex_);
    if (!with_names) files = named_;
    for (auto& [path, kept] : files) kept->bytes.resize(kept->synced);
    named_ = files;
  }

  // Whether its directory was synced since it has that name.
  [[nodiscard]] bool named(const std::string& path) const {
    const std::lock_guard guard(mutex_);
    return named_.contains(path);
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
  std::unique_ptr<rankview::checkpoint::File> create(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!happens(0)) fail(ENOSPC, path);
    const auto [at, made] = files.try_emplace(path, std::make_shared<Kept>());
    if (!made) fail(EEXIST, path);
    at->second->touched = time();
    return std::make_unique<Open>(*this, at->second, path);
  }
  std::unique_ptr<rankview::checkpoint::File> open(const std::string& path) override {
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
    if (!files.contains(path)) fail(ENOENT, path);
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
  std::unique_ptr<rankview::checkpoint::Hold> hold(const std::string& path, bool alone) override {
    const std::lock_guard guard(mutex_);
    if (unholdable) fail(ENOLCK, path);
    int& holders = holders_[name_of(path)];
    if (alone ? holders != 0 : holders < 0) return nullptr;
    holders = alone ? -1 : holders + 1;
    const auto found = files.find(path);
    return std::make_unique<Held>(*this, name_of(path), found == files.end() ? nullptr : found->second);
  }
  bool is_held(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    return unholdable || holders_[name_of(path)] != 0;
  }
  // So much time passes, whoever else looks.
  void pass(std::chrono::nanoseconds some) {
    const std::lock_guard guard(mutex_);
    now += some;
  }
  // Whoever holds the file has died.
  void release(const std::string& path) {
    const std::lock_guard guard(mutex_);
    holders_[name_of(path)] = 0;
  }
  bool link(const std::string& from, const std::string& to) override {
    const std::lock_guard guard(mutex_);
    if (unlinkable) fail(EPERM, from);
    if (!files.contains(from)) fail(ENOENT, from);
    if (!happens(0)) fail(EIO, from);
    return files.try_emplace(to, files.at(from)).second;
  }
  std::chrono::nanoseconds touch(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    if (!files.contains(path)) fail(ENOENT, path);
    if (!happens(0)) fail(EIO, path);
    return files.at(path)->touched = time();
  }
  std::optional<std::chrono::nanoseconds> touched(const std::string& path) override {
    const std::lock_guard guard(mutex_);
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second->touched);
  }

 private:
  [[nodiscard]] std::chrono::nanoseconds time() const { return clock ? clock() : now; }
  // A file has one, whatever it is called.
  [[nodiscard]] std::string name_of(const std::string& path) const {
    const auto found = files.find(path);
    if (found == files.end()) return path;
    return std::to_string(reinterpret_cast<std::uintptr_t>(found->second.get()));
  }
  class Held final : public rankview::checkpoint::Hold {
   public:
    Held(MemoryDisk& disk, std::string name, std::shared_ptr<Kept> kept) : disk_(disk), name_(std::move(name)), kept_(std::move(kept)) {}
    ~Held() override {
      const std::lock_guard guard(disk_.mutex_);
      int& holders = disk_.holders_[name_];
      holders = std::max(0, holders < 0 ? 0 : holders - 1);
    }

   private:
    MemoryDisk& disk_;
    const std::string name_;
    const std::shared_ptr<Kept> kept_;  // so that no other file gets its name
  };
  class Open final : public rankview::checkpoint::File {
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
  mutable std::mutex mutex_;
  std::size_t operations_ = 0;
  std::map<std::string, std::shared_ptr<Kept>> named_;  // when the directory was last synced
  std::map<std::string, int> holders_;                  // of each file; -1: one, alone
};

}  // namespace test
