// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/captured.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace rankview::farm {
namespace {

constexpr std::size_t piece_size = 64U * 1024U;

}  // namespace

Captured::Captured(isolation::Fd file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw std::system_error(errno, std::generic_category(), "the output of a command");
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (size_ != 0) file_ = std::move(file);
}

void Captured::read(const std::function<void(std::string_view)>& take) const {
  if (!file_) {
    if (!bytes_.empty()) take(bytes_);
    return;
  }
  std::vector<char> piece(static_cast<std::size_t>(std::min<std::uint64_t>(size_, piece_size)));
  for (std::uint64_t at = 0; at < size_;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size_ - at, piece.size()));
    const ssize_t got = ::pread(file_.get(), piece.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "the output of a command");
    // Something that the command has left running has cut it.
    if (got == 0) return;
    take({piece.data(), static_cast<std::size_t>(got)});
    at += static_cast<std::uint64_t>(got);
  }
}

std::string Captured::text() const {
  std::string text;
  read([&text](std::string_view piece) { text += piece; });
  return text;
}

std::string temporary_directory() {
  const char* const directory = std::getenv("TMPDIR");
  return directory == nullptr || *directory == '\0' ? "/tmp" : directory;
}

isolation::Fd temporary_file(const std::string& directory) {
  int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  // Not every file system has files without names.
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = directory + "/rankview-XXXXXX";
    fd = ::mkostemp(name.data(), O_APPEND | O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
  }
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "no temporary file in " + directory);
  return isolation::Fd(fd);
}

}  // namespace rankview::farm
