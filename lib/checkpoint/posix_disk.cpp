// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/disk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace rankview::checkpoint {
namespace {

[[noreturn]] void refuse(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }

void check_no_stranger(const struct stat& is, const std::string& path) {
  if (is.st_uid != ::geteuid() && is.st_uid != 0) refuse(EPERM, path + " belongs to another user");
  if ((is.st_mode & (S_IWGRP | S_IWOTH)) != 0) refuse(EPERM, path + " may be written to by other users (chmod go-w)");
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }

  std::uint64_t size() override {
    struct stat is {};
    if (::fstat(descriptor_, &is) != 0) refuse(errno, "looking at " + path_);
    return static_cast<std::uint64_t>(is.st_size);
  }
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t got = 0;
    while (got < into.size()) {
      const ssize_t some = ::pread(descriptor_, into.data() + got, into.size() - got, static_cast<off_t>(offset + got));
      if (some == 0) break;
      if (some > 0) {
        got += static_cast<std::size_t>(some);
      } else if (errno != EINTR) {
        refuse(errno, "reading " + path_);
      }
    }
    return got;
  }
  void append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t some = ::write(descriptor_, bytes.data(), bytes.size());
      if (some >= 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(some));
      } else if (errno != EINTR) {
        refuse(errno, "writing " + path_);
      }
    }
  }
  void sync() override {
    if (::fdatasync(descriptor_) != 0) refuse(errno, "syncing " + path_);
  }
  std::chrono::nanoseconds touched() {
    struct stat is {};
    if (::fstat(descriptor_, &is) != 0) refuse(errno, "looking at " + path_);
    return std::chrono::seconds(is.st_mtim.tv_sec) + std::chrono::nanoseconds(is.st_mtim.tv_nsec);
  }
  // For as long as it is open, here or in a child. False if others have locked it otherwise.
  bool lock(bool alone) {
    while (::flock(descriptor_, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return false;
      if (errno != EINTR) refuse(errno, "locking " + path_);
    }
    return true;
  }

 private:
  int descriptor_;
  std::string path_;
};

class PosixHold final : public Hold {
 public:
  explicit PosixHold(std::unique_ptr<PosixFile> file) : file_(std::move(file)) {}

 private:
  std::unique_ptr<PosixFile> file_;
};

class PosixDisk final : public Disk {
 public:
  void make_directory(const std::string& path) override {
    std::error_code error;
    const auto above = std::filesystem::path(path).parent_path();
    if (!above.empty()) std::filesystem::create_directories(above, error);
    if (error) refuse(error.value(), "making the directory " + path);
    // Also where a mask leaves others more.
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) refuse(errno, "making the directory " + path);
    check_directory(path);
  }
  void check_directory(const std::string& path) override {
    struct stat is {};
    if (::stat(path.c_str(), &is) != 0) refuse(errno, "looking at " + path);
    if (!S_ISDIR(is.st_mode)) refuse(ENOTDIR, path);
    check_no_stranger(is, path);
  }
  std::vector<std::string> list(const std::string& directory) override {
    std::error_code error;
    std::vector<std::string> names;
    for (auto at = std::filesystem::directory_iterator(directory, error); !error && at != std::filesystem::directory_iterator();
         at.increment(error))
      names.push_back(at->path().filename());
    if (error) refuse(error.value(), "listing " + directory);
    std::sort(names.begin(), names.end());
    return names;
  }
  std::unique_ptr<File> create(const std::string& path) override { return open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND, "making "); }
  std::unique_ptr<File> open(const std::string& path) override { return open(path, O_RDONLY, "opening "); }
  void sync_directory(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) refuse(errno, "opening " + path);
    const bool well = ::fsync(descriptor) == 0;
    const int error = errno;
    ::close(descriptor);
    // Some file systems do not know that of directories, and keep names in order by themselves.
    if (!well && error != EINVAL && error != ENOTSUP) refuse(error, "syncing " + path);
  }
  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) refuse(errno, "removing " + path);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) refuse(errno, "renaming " + from);
  }
  std::unique_ptr<Hold> hold(const std::string& path, bool alone) override {
    auto file = open(path, O_RDWR | O_CREAT, "opening ");
    return file->lock(alone) ? std::make_unique<PosixHold>(std::move(file)) : nullptr;
  }
  bool is_held(const std::string& path) override {
    try {
      // What is locked here goes with the opening.
      return !open(path, O_RDONLY, "opening ")->lock(false);
    } catch (const std::system_error& error) {
      return error.code() != std::errc::no_such_file_or_directory;
    }
  }
  bool link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return true;
    if (errno != EEXIST) refuse(errno, "linking " + from);
    // Over a network it may have been made, and the answer been lost.
    struct stat one {};
    struct stat other {};
    return ::lstat(from.c_str(), &one) == 0 && ::lstat(to.c_str(), &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  }
  std::chrono::nanoseconds touch(const std::string& path) override {
    // Without a time it is that of the file server.
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) refuse(errno, "touching " + path);
    return open(path, O_RDONLY, "opening ")->touched();
  }
  std::optional<std::chrono::nanoseconds> touched(const std::string& path) override {
    try {
      // What is opened is not what was known of it a while ago.
      return open(path, O_RDONLY, "opening ")->touched();
    } catch (const std::system_error& error) {
      if (error.code() == std::errc::no_such_file_or_directory) return std::nullopt;
      throw;
    }
  }

 private:
  static std::unique_ptr<PosixFile> open(const std::string& path, int flags, const char* doing) {
    // Neither a link nor a pipe that nobody writes to.
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (descriptor < 0) refuse(errno, doing + path);
    auto file = std::make_unique<PosixFile>(descriptor, path);
    struct stat is {};
    if (::fstat(descriptor, &is) != 0) refuse(errno, "looking at " + path);
    if (!S_ISREG(is.st_mode)) refuse(EINVAL, path + " is no file");
    check_no_stranger(is, path);
    return file;
  }
};

}  // namespace

Disk& posix_disk() {
  static PosixDisk disk;
  return disk;
}

}  // namespace rankview::checkpoint
