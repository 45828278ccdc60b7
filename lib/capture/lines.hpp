// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace rankview::capture {

// All of it, whatever interrupts, unless nobody takes it any more. Safe in a signal handler.
void write_all(int fd, std::string_view bytes) noexcept;

// Shows what somebody prints while it comes: whole lines, each behind a prefix that says whose it is. Lines of several processes that write
// to the same pipe stay whole, unless they are very long.
class Lines {
 public:
  explicit Lines(std::string prefix) : prefix_(std::move(prefix)) {}

  void add(std::string_view bytes, int fd);
  // No more comes: also shows what is no whole line.
  void end(int fd);

 private:
  std::string prefix_;
  std::string begun_;  // a line of which the end is missing
};

// As lines of what an engine's tasks print begin; of a stream with that number.
[[nodiscard]] std::string prefix_of(int fd, int engine);

}  // namespace rankview::capture
