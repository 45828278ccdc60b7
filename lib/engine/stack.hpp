// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <pthread.h>
#include <cstddef>
#include <functional>

namespace rankview::engine {

// The stack of the thread that makes this.
class Stack {
 public:
  Stack();

  // How far the caller, which must be of that thread, is from its end.
  [[nodiscard]] std::size_t left() const;
  // What a task should find: a quarter, and 16 MiB at most.
  [[nodiscard]] std::size_t reserve() const { return reserve_; }

 private:
  const char* end_ = nullptr;
  std::size_t reserve_ = 0;
};

// A thread with as much stack as the main thread has, also where that has no limit (`ulimit -s unlimited`), for which the system would give
// it 2 MB. Joined by its destructor.
class Thread {
 public:
  Thread() = default;
  // Throws std::system_error if there can be no thread.
  explicit Thread(std::function<void()> run);
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { join(); }

  // Waits for its end, if it was not waited for.
  void join();

 private:
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace rankview::engine
