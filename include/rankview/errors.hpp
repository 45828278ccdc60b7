// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

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

/// A wait ended before what it waited for; the wait can be repeated. Or, as the error of a task: it took longer than its flags allow.
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

/// A task cannot run: those that it was to run after or where have not ended as asked for, or no engine may run it.
class ImpossibleDependency : public Error {
 public:
  /// One step of the way from the task back to the first cause.
  struct Link {
    TaskId task;                       ///< a task that did not end as the one before it needed
    std::shared_ptr<const Link> next;  ///< why it did not; null for the first cause
    const Link* first;                 ///< the first cause
    std::size_t length;                ///< links from here to it
    std::string why;                   ///< the first cause's own error

    Link(const TaskId& of, std::shared_ptr<const Link> cause, std::string error);
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link();
  };

  ImpossibleDependency(TaskId task, std::shared_ptr<const Link> because, const std::string& reason);

  /// The task that could not run.
  [[nodiscard]] const TaskId& task() const noexcept { return task_; }
  /// The tasks that it failed for, the nearest first, the first cause last. Cost: proportional to their number.
  [[nodiscard]] std::vector<TaskId> chain() const;
  /// The same as links; null where the reason is not another task.
  [[nodiscard]] const std::shared_ptr<const Link>& because() const noexcept { return because_; }

 private:
  TaskId task_;
  std::shared_ptr<const Link> because_;
};

/// A dependency on something that is no task of this run, or not known any more.
class InvalidDependency : public UsageError {
 public:
  using UsageError::UsageError;
};

/// The task never ran: it was given up while it waited.
class TaskAborted : public Error {
 public:
  using Error::Error;
};

/// The run ends before its work does, and what was asked for is left to a later one: see Client::drain(). No failure of a task.
class Draining : public Error {
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
  /// \param earlier    what() of earlier attempts
  RemoteError(TaskPlace place, std::string type_name, std::string message, std::vector<std::string> earlier = {});

  [[nodiscard]] int engine() const noexcept { return place_.engine; }
  [[nodiscard]] const std::string& host() const noexcept { return place_.host; }
  [[nodiscard]] const TaskId& task() const noexcept { return place_.task; }
  /// Engine, rank, host, process and task in one.
  [[nodiscard]] const TaskPlace& where() const noexcept { return place_; }
  /// How earlier attempts at the same task failed, in order; see Flags::retries.
  [[nodiscard]] const std::vector<std::string>& earlier() const noexcept { return earlier_; }
  /// `std::out_of_range`, `app::Diverged`, `int`, ...
  [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }
  /// The remote exception's `what()` alone; the `what()` of this error has the place before it.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  TaskPlace place_;
  std::string type_name_;
  std::string message_;
  std::vector<std::string> earlier_;
};

/// Code that was to be executed does not compile, or there is nothing that could compile it. Nothing of it has run.
class CompileError : public Error {
 public:
  /// What the compiler says of one place.
  struct Message {
    std::string file;  ///< of the code that was executed: `<code>`, or the path that was given
    int line = 0;      ///< from 1; 0 where it is about no line
    int column = 0;    ///< likewise
    std::string text;  ///< the compiler's own words
  };

  explicit CompileError(std::vector<Message> messages);
  explicit CompileError(const std::string& why) : Error(why) {}

  /// In the order in which the compiler gives them; what() has the first ten.
  [[nodiscard]] const std::vector<Message>& messages() const noexcept { return messages_; }
  /// The line of the first message; 0 if there is none.
  [[nodiscard]] int line() const noexcept { return messages_.empty() ? 0 : messages_.front().line; }

 private:
  std::vector<Message> messages_;
};

/// An engine has no variable of that name.
class NameError : public RemoteError {
 public:
  explicit NameError(std::string message, TaskPlace place = {}, std::vector<std::string> earlier = {});
};

/// An engine's variable has another type than was asked for; the message names both.
class TypeError : public RemoteError {
 public:
  explicit TypeError(std::string message, TaskPlace place = {}, std::vector<std::string> earlier = {});
};

/// A task's process ended before the task did, or was ended since it used too much memory; see Flags::isolation. The message says how,
/// after how long, with how much memory, what it last wrote to stderr, and what was being called.
class TaskCrashed : public RemoteError {
 public:
  TaskCrashed(std::string message, int signal, int exit_status, std::size_t peak_memory, TaskPlace place = {},
              std::vector<std::string> earlier = {});

  /// The signal that ended it, 0 if none did.
  [[nodiscard]] int signal() const noexcept { return signal_; }
  /// With what it left the process, 0 if a signal ended it.
  [[nodiscard]] int exit_status() const noexcept { return exit_status_; }
  /// The most memory that it had, in bytes.
  [[nodiscard]] std::size_t peak_memory() const noexcept { return peak_memory_; }

 private:
  int signal_;
  int exit_status_;
  std::size_t peak_memory_;
};

/// The engine that had a task has died, and nobody else runs it: it was for that engine alone, or several engines have died of it, or its
/// flags say so.
class EngineError : public Error {
 public:
  EngineError(const std::string& message, TaskPlace place);

  [[nodiscard]] int engine() const noexcept { return place_.engine; }
  [[nodiscard]] const std::string& host() const noexcept { return place_.host; }
  /// The task; its call is 0 if there is none, as where a view is asked for.
  [[nodiscard]] const TaskId& task() const noexcept { return place_.task; }
  [[nodiscard]] const TaskPlace& where() const noexcept { return place_; }

 private:
  TaskPlace place_;
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
