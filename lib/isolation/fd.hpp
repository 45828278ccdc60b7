// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <unistd.h>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace rankview::isolation {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void reset() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

// Two ends that are connected; both are closed in programs that are started from here. Throws std::system_error.
std::pair<Fd, Fd> socket_pair(int type);
std::pair<Fd, Fd> pipe_pair();  // to be read from, and written to

// All of it, whatever interrupts. False if the other end has gone. Never raises SIGPIPE, for which a pipe must not be passed.
bool send_all(int socket, std::span<const std::byte> bytes);
bool receive_all(int socket, std::span<std::byte> bytes);

// One message of fixed size with file descriptors beside it, over a SOCK_SEQPACKET socket.
bool send_message(int socket, const void* message, std::size_t size, std::span<const int> fds);
// How many bytes there were, nothing if the other end has gone.
std::optional<std::size_t> receive_message(int socket, void* message, std::size_t size, std::vector<Fd>& fds);

}  // namespace rankview::isolation
