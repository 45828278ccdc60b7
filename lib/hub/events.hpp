// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/item_record.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <variant>
#include <vector>

// What the controller says, kept until the hub's thread comes to it. Times are nanoseconds since the epoch.
namespace rankview::hub {

struct EngineKnown {
  int rank = 0;
  std::string host;
  long pid = 0;
  unsigned slots = 1;
};

struct RunBegan {
  std::int64_t at = 0;
  std::vector<EngineKnown> engines;  // engine k is the k-th
};

struct CallMade {
  std::uint64_t call = 0;
  std::string label;
  const void* code = nullptr;  // of the function, null where that has no address
  std::string callable{};      // then its type, as std::type_info names it
  std::uint64_t tasks = 0;
  std::int64_t submitted = 0;
};

// Code, as the runtime finds it: a constant in a module, for which the linker may have a name.
struct KeptCode {
  const void* place = nullptr;  // in this process
  std::uint64_t module = 0;
  std::uint64_t offset = 0;
};

// What the tasks of a call run that are kept; it comes before the first of them.
struct CallKept {
  std::uint64_t call = 0;
  KeptCode thunk;
  KeptCode function;  // without a place where the callable is none
  std::vector<std::byte> state;
  std::string result;  // its type, as std::type_info names it
  bool direct = false;
  int isolation = 0;
  std::int64_t timeout = 0;  // nanoseconds
  std::uint64_t memory_limit = 0;
  unsigned slots = 1;
};

// Arguments and results of some tasks of a call, whose bytes lie behind each other.
struct TasksKept {
  struct Task {
    std::uint64_t item = 0;
    int engine = -1;
    std::size_t arguments = 0;
    std::size_t value = 0;
    bool has_value = false;
  };

  std::uint64_t call = 0;
  std::vector<Task> tasks;
  std::vector<std::byte> bytes;
};

// How a task failed. What is of a class of the program's comes as its text, since it is not to be asked here.
struct TaskError {
  std::uint64_t task = 0;
  std::exception_ptr error;  // or null, and the text
  std::string text{};
};

struct TasksEnded {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::vector<detail::ItemRecord> records;
  std::vector<TaskError> errors;  // in the order of tasks
};

// Of which no more is told.
struct TasksOmitted {
  std::uint64_t call = 0;
  std::uint64_t completed = 0;
  std::uint64_t aborted = 0;
};

struct TaskRetried {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  unsigned attempt = 0;
  int engine = -1;
  std::int64_t at = 0;
  std::string error;
};

// What an attempt at a task has printed on an engine.
struct TaskPrinted {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  unsigned attempt = 0;
  int engine = -1;
  std::string out;
  std::string err;
};

struct EngineLost {
  int engine = -1;
  std::int64_t at = 0;
  std::string seen;
};

struct CallOver {
  std::uint64_t call = 0;
  std::int64_t at = 0;
};

struct RunEnded {
  std::int64_t at = 0;
  bool failed = false;
  std::string reason;
};

using Event = std::variant<RunBegan, CallMade, CallKept, TasksKept, TasksEnded, TasksOmitted, TaskRetried, TaskPrinted, EngineLost,
                           CallOver, RunEnded>;

}  // namespace rankview::hub
