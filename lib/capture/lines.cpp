// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "capture/lines.hpp"

#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <cstddef>

namespace rankview::capture {
namespace {

// Who prints no end of a line for so long has one put there.
constexpr std::size_t longest_line = std::size_t{64} * 1024;

}  // namespace

void write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

void Lines::add(std::string_view bytes, int fd) {
  std::string text;
  const auto put = [&](std::string_view line) {
    if (text.size() + prefix_.size() + line.size() > PIPE_BUF) {
      write_all(fd, text);
      text.clear();
    }
    text.append(prefix_).append(line);
  };
  for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    begun_.append(bytes.substr(0, end + 1));
    bytes.remove_prefix(end + 1);
    put(begun_);
    begun_.clear();
  }
  begun_.append(bytes);
  if (begun_.size() > longest_line) {
    put(begun_.append(1, '\n'));
    begun_.clear();
  }
  write_all(fd, text);
}

void Lines::end(int fd) {
  if (!begun_.empty()) add("\n", fd);
}

std::string prefix_of(int fd, int engine) {
  return std::string(fd == STDOUT_FILENO ? "[stdout:" : "[stderr:") + std::to_string(engine) + "] ";
}

}  // namespace rankview::capture
