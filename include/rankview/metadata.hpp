// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1 {

/// Seconds, as the times of results are told.
using Seconds = std::chrono::duration<double>;

/// What became of a task, or is about to.
enum class Status : std::uint8_t {
  waiting,     ///< on rank 0, handed to nobody yet
  handed_out,  ///< on its way to an engine, in its queue, or running
  completed,   ///< the result is there
  failed,      ///< the task threw, or its result could not be sent or read
  aborted,     ///< given up before it ran
};

/// `waiting`, `handed out`, `completed`, `failed`, `aborted`.
[[nodiscard]] const char* to_string(Status status) noexcept;

/// What is known of one task. Times that have not come yet are the epoch.
struct Metadata {
  using Time = std::chrono::system_clock::time_point;

  TaskId task;
  std::string label;  ///< the view's label
  Status status = Status::waiting;
  int engine = -1;    ///< who ran it, -1 while nobody was asked to, and where it was found in a checkpoint
  std::string host;   ///< that engine's host
  int attempt = 0;    ///< how often it was handed out
  Time submitted;     ///< when the client made the call
  Time started;       ///< when the engine began to decode its arguments
  Time completed;     ///< when the engine had encoded its result
  Time received;      ///< when rank 0 had it
  std::string error;  ///< `what()` of its error, if it failed
  /// What its last attempt has printed, with Options::capture; there once it has ended. Where that was too long, its beginning and end, and
  /// between them a line that says how much is left out. Of a task that several engines run together: what these have, one after the other.
  std::string stdout_text;
  std::string stderr_text;

  /// How long it ran on its engine.
  [[nodiscard]] Seconds run_time() const { return completed - started; }
};

/// Tasks of a result, by their places among its task_ids(): those that have ended, however they did, and those that have not.
struct DoneAndPending {
  std::vector<std::size_t> done;
  std::vector<std::size_t> pending;
};

}  // namespace rankview
