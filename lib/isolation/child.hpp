// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/runner.hpp"
#include "wire/modules.hpp"

#include <rankview/variables.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// What is said between an engine and the child that runs a task of its, over a stream socket: first the task; then, one byte, that it is
// to stop; and what the child tells, frame by frame.
namespace rankview::isolation {

enum class FrameKind : std::uint64_t {
  published,  // name, type, value
  value,      // the sizes of what is attached, and the result; then what is attached
  failed,     // a wire::Failure
  trace,      // it has crashed: a Trace
};

struct FrameHead {
  FrameKind kind = FrameKind::value;
  std::uint64_t size = 0;  // of what follows, but for attachments
};

// The task but for what is attached: what to send first. `later_modules`: what the child has not loaded and may have to. `task` has to
// outlive what is sent.
std::vector<std::byte> task_head(const Task& task, const std::vector<wire::LoadedModule>& later_modules);

// In the child: takes the task from the socket, runs it, and says how it ended. `variables`: the engine's, null where the child does not
// have them.
[[noreturn]] void run_child(int socket, Variables* variables) noexcept;

}  // namespace rankview::isolation
