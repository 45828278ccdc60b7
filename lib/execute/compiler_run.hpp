// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <vector>

namespace rankview::execute {

struct CompilerRun {
  bool well = false;
  std::string said;  // on stdout and stderr
};

// Runs a command in a process of its own, with no MPI about it, and waits. `scratch`: a directory for its files. Throws CompileError if it
// cannot be started.
CompilerRun run_compiler(const std::vector<std::string>& words, const std::string& scratch);

}  // namespace rankview::execute
