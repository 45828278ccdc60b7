// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/conversation.hpp"

#include <sys/socket.h>
#include <array>
#include <cerrno>

namespace rankview::isolation {

void Conversation::send() {
  while (!to_send_.empty()) {
    if (to_send_.front().empty()) {
      to_send_.pop_front();
      continue;
    }
    const ssize_t sent = ::send(socket_.get(), to_send_.front().data(), to_send_.front().size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      // Whoever does not read any more ends.
      if (errno != EAGAIN && errno != EINTR) to_send_.clear();
      return;
    }
    to_send_.front() = to_send_.front().subspan(static_cast<std::size_t>(sent));
  }
}

bool Conversation::receive() {
  std::array<std::byte, 64 * 1024> part;
  ssize_t got = -1;
  do {
    got = ::recv(socket_.get(), part.data(), part.size(), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  // It has closed its end, and may go on all the same.
  if (got == 0 || (got < 0 && errno != EAGAIN)) socket_.reset();
  if (got <= 0) return false;
  received_.insert(received_.end(), part.begin(), part.begin() + got);
  return true;
}

void Conversation::forget_taken() {
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(std::exchange(taken_, 0)));
}

}  // namespace rankview::isolation
