// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/mpirun.hpp"

#include "launch/allocations.hpp"
#include "launch/quoted.hpp"

#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace rankview::cli {
namespace {

// Whether it says which hosts.
bool names_hosts(const Wanted& wanted) {
  static constexpr std::array hosts{"-H",         "-host",        "--host",        "-hostfile",
                                    "--hostfile", "-machinefile", "--machinefile", "--default-hostfile"};
  return std::any_of(wanted.mpirun.begin(), wanted.mpirun.end(),
                     [](const std::string& word) { return std::find(hosts.begin(), hosts.end(), word) != hosts.end(); });
}

// Whether mpirun goes to other hosts, and by a remote shell that it is told of. Slurm, Grid Engine and LSF have means of their own.
bool by_remote_shell(const Wanted& wanted, const Surroundings& here) {
  return here.allocation == "PBS" || (here.allocation.empty() && names_hosts(wanted));
}

}  // namespace

Surroundings look_around() {
  Surroundings here;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const long all = ::sysconf(_SC_NPROCESSORS_ONLN);
  here.cores = static_cast<unsigned>(std::max(1L, all));
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) here.cores = static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  here.root = ::geteuid() == 0;
  for (const auto& [variable, name] : launch::allocations) {
    if (here.allocation.empty() && std::getenv(variable) != nullptr) here.allocation = name;
  }
  std::error_code none;
  here.self = std::filesystem::read_symlink("/proc/self/exe", none).string();
  for (const char* const variable : {"OMPI_MCA_plm_rsh_agent", "OMPI_MCA_orte_rsh_agent"}) {
    if (const char* const shell = std::getenv(variable); shell != nullptr && *shell != '\0') here.remote_shell = shell;
  }
  return here;
}

Command mpirun_command(const Wanted& wanted, const Surroundings& here, const std::string& exit_file) {
  Command command;
  // Without that the death of one process ends them all.
  command.words = {"mpirun", "--enable-recovery"};
  const bool elsewhere = !here.allocation.empty() || names_hosts(wanted);
  const bool sized = wanted.engines || !elsewhere;
  const int ranks = wanted.engines.value_or(static_cast<int>(here.cores)) + 1;
  if (sized) {
    command.words.emplace_back("-np");
    command.words.push_back(std::to_string(ranks));
  }
  // Within an allocation, and on hosts that are named, their limits hold.
  if (!elsewhere && ranks > static_cast<int>(here.cores)) {
    for (const char* const word : {"--oversubscribe", "--bind-to", "none"}) command.words.emplace_back(word);
  }
  // The loss of a host would end them as well.
  if (by_remote_shell(wanted, here) && !here.self.empty() && here.self.find(' ') == std::string::npos) {
    for (const char* const word : {"--mca", "plm_rsh_no_tree_spawn", "1", "--mca", "plm_rsh_agent"}) command.words.emplace_back(word);
    command.words.push_back(here.self + " remote-shell");
    command.environment.emplace_back("RANKVIEW_REMOTE_SHELL", here.remote_shell);
  }
  if (!exit_file.empty()) {
    command.words.emplace_back("-x");
    command.words.emplace_back("RANKVIEW_EXIT_FILE");
    command.environment.emplace_back("RANKVIEW_EXIT_FILE", exit_file);
  }
  // A rank that has died would be waited for at the end.
  command.environment.emplace_back("OMPI_MCA_async_mpi_finalize", "1");
  if (here.root) {
    command.environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT", "1");
    command.environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
  command.words.insert(command.words.end(), wanted.mpirun.begin(), wanted.mpirun.end());
  command.words.insert(command.words.end(), wanted.program.begin(), wanted.program.end());
  return command;
}

std::string to_string(const Command& command) {
  std::string text;
  for (const auto& [name, value] : command.environment) text += name + "=" + launch::quoted(value) + " ";
  return text + launch::quoted(command.words);
}

std::vector<std::string> program_of(std::vector<std::string> words, const std::vector<std::string>& at_dashes) {
  if (!at_dashes.empty()) words.insert(words.end(), at_dashes.begin() + (words.empty() ? 1 : 0), at_dashes.end());
  return words;
}

}  // namespace rankview::cli
