// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/outputs.hpp"
#include "wire/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Tasks that run in a process of their own, so that what becomes of that is no engine's concern.
namespace rankview::isolation {

// Why there can be no child that is not of this process, where there is no process to make it.
inline constexpr const char* no_server =
    "isolation = rv::process needs a process that was made before MPI was initialised, and there is none: start the program with "
    "rv::run(), or use rv::fork";

// What a child is to run, and on what terms.
struct Task {
  wire::CodeAddress thunk;
  wire::CodeAddress function{};  // zero where the callable is no function pointer
  bool has_object = false;
  std::span<const std::byte> object;  // the callable's state
  std::span<const std::byte> arguments;
  std::vector<std::span<const std::byte>> attachments;  // of the arguments
  bool flat = false;                                    // see wire::Batch
  int engine = 0;
  int engines = 1;
  std::int64_t timeout = 0;        // nanoseconds, 0 for none
  std::uint64_t memory_limit = 0;  // bytes of the child and what it starts, 0 for none
  capture::Terms capture;          // what becomes of what it prints
};

// How it ended.
struct Outcome {
  enum class Kind : std::uint8_t {
    value,      // `bytes` and `attachments` are its result
    failed,     // `failure` says why: what it threw, or how the process ended
    timed_out,  // it was killed
    aborted,    // likewise
  };
  Kind kind = Kind::failed;
  std::vector<std::byte> bytes{};
  std::vector<std::vector<std::byte>> attachments{};
  wire::Failure failure{};
  capture::Texts printed{};
};

// Whoever waits for it.
class Watcher {
 public:
  // Whether the task has been given up.
  [[nodiscard]] virtual bool stop_requested() = 0;
  // It has told a value.
  virtual void published(std::string_view name, const char* type, std::span<const std::byte> value) = 0;

 protected:
  ~Watcher() = default;
};

// Runs tasks in children, one at a time. Interface, since a simulation does it without processes.
class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  // Returns when the child has given a result or has ended. Throws Error if there can be no child.
  virtual Outcome run(const Task& task, Watcher& watcher) = 0;
};

}  // namespace rankview::isolation
