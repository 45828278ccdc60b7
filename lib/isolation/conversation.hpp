// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"

#include <cstddef>
#include <deque>
#include <span>
#include <utility>
#include <vector>

namespace rankview::isolation {

// Bytes to and from a child, by a socket, without waiting for it.
class Conversation {
 public:
  Conversation() = default;
  explicit Conversation(Fd socket) : socket_(std::move(socket)) {}

  // Whether the child may still say something.
  [[nodiscard]] bool open() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int descriptor() const { return socket_.get(); }

  // To be sent behind what waits for that; the bytes stay until then.
  void add(std::span<const std::byte> bytes) { to_send_.push_back(bytes); }
  [[nodiscard]] bool anything_to_send() const { return !to_send_.empty(); }
  // Sends as much as is taken now.
  void send();

  // Adds some of what it has said to heard(). Whether there was anything.
  bool receive();
  [[nodiscard]] std::span<const std::byte> heard() const { return std::span(received_).subspan(taken_); }
  // So much of that is dealt with.
  void take(std::size_t bytes) { taken_ += bytes; }
  // What was dealt with is not kept.
  void forget_taken();

 private:
  Fd socket_;
  std::deque<std::span<const std::byte>> to_send_;
  std::vector<std::byte> received_;
  std::size_t taken_ = 0;  // of that
};

}  // namespace rankview::isolation
