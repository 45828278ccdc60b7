// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/mpirun.hpp"

#include "launch/quoted.hpp"

#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>

namespace rankview::cli {
namespace {

// What batch systems set in the jobs that they start.
constexpr std::pair<const char*, const char*> allocations[] = {
    {"SLURM_JOB_ID", "Slurm"}, {"PBS_JOBID", "PBS"}, {"PE_HOSTFILE", "Grid Engine"}, {"LSB_JOBID", "LSF"}};

}  // namespace

Surroundings look_around() {
  Surroundings here;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const long all = ::sysconf(_SC_NPROCESSORS_ONLN);
  here.cores = static_cast<unsigned>(std::max(1L, all));
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) here.cores = static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  here.root = ::geteuid() == 0;
  for (const auto& [variable, name] : allocations) {
    if (here.allocation.empty() && std::getenv(variable) != nullptr) here.allocation = name;
  }
  return here;
}

Command mpirun_command(const Wanted& wanted, const Surroundings& here, const std::string& exit_file) {
  Command command;
  // Without that the death of one process ends them all.
  command.words = {"mpirun", "--enable-recovery"};
  const bool sized = wanted.engines || here.allocation.empty();
  const int ranks = wanted.engines.value_or(static_cast<int>(here.cores)) + 1;
  if (sized) {
    command.words.emplace_back("-np");
    command.words.push_back(std::to_string(ranks));
  }
  // Within an allocation its limits hold.
  if (here.allocation.empty() && ranks > static_cast<int>(here.cores)) {
    for (const char* const word : {"--oversubscribe", "--bind-to", "none"}) command.words.emplace_back(word);
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
