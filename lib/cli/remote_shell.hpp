// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <vector>

namespace rankview::cli {

// What mpirun starts its daemons on other hosts with, in the place of ssh: runs ssh, or what `shell` says, and keeps a loss of the
// connection from mpirun, which would end the whole job for it. What fails before a host has been reached is told.
//
// `shell`: the remote shell and its options, separated by spaces. `words`: further options, the host, and a command for a shell there.
// Gives the exit code for mpirun. Throws std::system_error if the remote shell cannot be started.
int run_remote_shell(const std::string& shell, const std::vector<std::string>& words);

// What to tell mpirun. `code`: how the remote shell has left, 128 and the signal that has ended it. `reached`: the command there had begun.
int code_for_mpirun(int code, bool reached);

// The words of a command line that runs `words` by that shell, and says on its standard output that the host has been reached.
std::vector<std::string> remote_command(const std::string& shell, const std::vector<std::string>& words);

// What it says then, in a line.
inline constexpr char host_reached[] = "rankview: this host has been reached";

}  // namespace rankview::cli
