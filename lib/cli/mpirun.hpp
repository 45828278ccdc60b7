// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankview::cli {

// What a command line depends on where it is made.
struct Surroundings {
  unsigned cores = 1;
  bool root = false;
  // The allocation of a batch system that this is in, by its name; empty for none.
  std::string allocation;
  // This executable, and what the user wants other hosts reached with.
  std::string self{};
  std::string remote_shell{"ssh -x"};
};
Surroundings look_around();

// What somebody wants started.
struct Wanted {
  std::optional<int> engines;        // as many as there are slots in the allocation, or cores, if none
  std::vector<std::string> mpirun;   // further arguments to mpirun
  std::vector<std::string> program;  // with its arguments
};

// A command, and what its environment has besides.
struct Command {
  std::vector<std::string> words;
  std::vector<std::pair<std::string, std::string>> environment;
};

// How Open MPI starts that so that it survives the death of engines. `exit_file`: where rank 0 says with what it left, see
// run_to_its_end().
Command mpirun_command(const Wanted& wanted, const Surroundings& here, const std::string& exit_file);

// As it can be typed into a shell.
std::string to_string(const Command& command);

// The program that is to be started, with its arguments: what stands behind options, and what stands at -- and behind it. That -- belongs
// to the program where that comes before it.
std::vector<std::string> program_of(std::vector<std::string> words, const std::vector<std::string>& at_dashes);

}  // namespace rankview::cli
