// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "cli/mpirun.hpp"

#include <filesystem>
#include <optional>

namespace rankview::cli {

// A file that rank 0 of what is started says in how it fares: `started`, and in the end its exit code. Gone with this.
class ExitFile {
 public:
  // Throws std::system_error.
  ExitFile();
  ExitFile(const ExitFile&) = delete;
  ExitFile& operator=(const ExitFile&) = delete;
  ~ExitFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Whether rank 0 has begun, and with what it has left.
  [[nodiscard]] bool started() const;
  [[nodiscard]] std::optional<int> code() const;

 private:
  std::filesystem::path path_;
};

// Runs the command, passes signals on to it, and gives the exit code of its rank 0, which mpirun does not tell when it goes on behind a
// death. If mpirun does not end soon behind rank 0 (it waits for a process that is stopped, or a host that is gone), it is ended. Throws
// std::system_error if the command cannot be started.
int run_to_its_end(const Command& command, const ExitFile& exit_file);

}  // namespace rankview::cli
