// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/lines.hpp"
#include "capture/outputs.hpp"
#include "isolation/fd.hpp"

#include <sys/types.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

namespace rankview::capture {

// Has the file descriptors 1 and 2 of this process lead into pipes: whatever writes to them, C++ streams, printf, threads, the processes
// that a task starts. A thread reads these, so that nobody waits for room who prints much. One to a process.
class Redirection final : public Outputs {
 public:
  // `engine`: its number. Throws std::system_error.
  Redirection(const Terms& terms, int engine);
  ~Redirection() override;

  void divert() override;
  void restore() override;
  std::unique_ptr<Printed> begin() override;
  void end(std::unique_ptr<Printed> waiting) override;
  bool any() override;
  Texts take() override;

  // Where what is written to that descriptor goes in the end.
  [[nodiscard]] int destination(int fd) const;
  // See below.
  void give_back() noexcept;

 private:
  struct Stream {
    Stream(int number, int engine);

    int number;          // the descriptor
    isolation::Fd from;  // the pipe's ends
    isolation::Fd into;
    isolation::Fd original;  // where it leads without this
    Lines lines;
  };

  // What was printed there.
  template <class SomePrinted>
  static auto& of(const Stream& stream, SomePrinted& printed) {
    return stream.number == STDOUT_FILENO ? printed.out : printed.err;
  }
  void pump();
  void drain();
  void put(Stream& stream, std::string_view bytes);
  void pass_on(const Printed& late);
  void end_lines();
  void drop_to_original(Stream& stream) noexcept;

  const Terms terms_;
  std::array<Stream, 2> streams_;
  isolation::Fd ready_;  // whether there is anything in the pipes
  isolation::Fd quit_;
  pid_t process_ = 0;                    // that is diverted
  std::atomic<bool> taken_{false};       // of the running task, by the thread too
  std::mutex mutex_;                     // guards what follows, and the reading ends
  std::unique_ptr<Printed> printed_;     // by the task that runs, null where none does
  std::unique_ptr<Printed> given_back_;  // the same, once it is no task's any more
  std::unique_ptr<Printed> spare_;
  std::thread thread_;
};

// Where what this process writes to that descriptor goes in the end. From any thread.
[[nodiscard]] int destination(int fd) noexcept;
// Says something on stderr that is no task's.
void say(std::string_view text) noexcept;
// The process is about to end: what it says from here on goes where it would without any of this, and so does what a task has printed that
// nobody else will see. Safe in a signal handler.
void give_back() noexcept;

}  // namespace rankview::capture
