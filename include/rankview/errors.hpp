// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace rankview {

/// The base of every error that rankview throws of its own. `std::out_of_range` for an engine that does not exist is the one
/// exception to it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The library was asked for something that makes no sense; the message says what to do instead. A bug in the caller.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The ranks do not run the same executable.
class MismatchedBuild : public Error {
 public:
  using Error::Error;
};

/// A wait ended before what it waited for. The wait can be repeated.
class TimeoutError : public Error {
 public:
  using Error::Error;
};

/// An MPI call failed; the message names the call and has MPI's own text.
class MpiError : public Error {
 public:
  using Error::Error;
};

/// Bytes that arrived are not what they should be.
class DecodeError : public Error {
 public:
  using Error::Error;
};

/// The task never ran: it was given up while it waited.
class TaskAborted : public Error {
 public:
  using Error::Error;
};

/// Where a task was when it failed.
struct TaskPlace {
  int engine = -1;   ///< engine number, -1 when the error was thrown in the caller's own process
  int rank = -1;     ///< the engine's rank in the cluster's communicator
  std::string host;  ///< the engine's host name
  long pid = 0;      ///< the engine's process
  TaskId task;       ///< the task
};

/// A task threw. Carries what is known of the exception, which itself stays on its engine.
class RemoteError : public Error {
 public:
  /// \param place      where it was thrown
  /// \param type_name  the type of the exception, as written in C++
  /// \param message    its `what()`, or its value if it was a string or a number
  RemoteError(TaskPlace place, std::string type_name, std::string message);

  [[nodiscard]] int engine() const noexcept { return place_.engine; }
  [[nodiscard]] const std::string& host() const noexcept { return place_.host; }
  [[nodiscard]] const TaskId& task() const noexcept { return place_.task; }
  /// Engine, rank, host, process and task in one.
  [[nodiscard]] const TaskPlace& where() const noexcept { return place_; }
  /// `std::out_of_range`, `app::Diverged`, `int`, ...
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  /// The remote exception's `what()` alone; the `what()` of this error has the place before it.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  TaskPlace place_;
  std::string type_name_;
  std::string message_;
};

/// An engine has no variable of that name.
class NameError : public RemoteError {
 public:
  explicit NameError(std::string message, TaskPlace place = {});
};

/// An engine's variable has another type than was asked for; the message names both.
class TypeError : public RemoteError {
 public:
  explicit TypeError(std::string message, TaskPlace place = {});
};

/// Several tasks were asked for, and some failed.
class CompositeError : public Error {
 public:
  struct Failure {
    std::size_t index;         ///< place among the results: item of a map, position among a view's targets
    std::exception_ptr error;  ///< what was thrown there
  };

  /// \param failures  in result order; what() lists the first ten of them
  /// \param total     how many tasks there were
  CompositeError(std::vector<Failure> failures, std::size_t total);

  [[nodiscard]] const std::vector<Failure>& failures() const noexcept { return failures_; }
  [[nodiscard]] std::size_t size() const noexcept { return failures_.size(); }

 private:
  std::vector<Failure> failures_;
};

}  // namespace rankview
