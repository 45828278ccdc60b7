// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/task_id.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace rankview::inline abi_0_1 {

// RANKVIEW_REPLAY=run.db:17.3: a task that is to be run here, by itself, instead of the client.
struct Replay {
  std::string file;
  std::int64_t run = 0;  // 0 for the latest that has kept it
  TaskId task;
};

// What the environment asks for, if anything. Throws UsageError if that is no task.
std::optional<Replay> wanted_replay();

// Runs the task in the run that is under way, with that file as its archive, and prints what it gives. The exit code.
int replay(const Replay& wanted);

}  // namespace rankview
