// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "launch/self_start.hpp"

#include <rankview/errors.hpp>

#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace rankview::launch {
namespace {

bool under_launcher() {
  // What Open MPI's mpirun, PMIx (srun --mpi=pmix) and PMI-1/2 launchers set for the processes they start.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

int engines_wanted(const char* text) {
  int engines = 0;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, engines);
  if (error != std::errc() || stopped != end || engines < 1)
    throw UsageError(std::string("RANKVIEW_ENGINES should be how many engines to start, 1 or more, and is \"") + text + "\"");
  return engines;
}

}  // namespace

void start_under_mpirun(int argc, char** argv) {
  const char* const wanted = std::getenv("RANKVIEW_ENGINES");
  if (wanted == nullptr || *wanted == '\0' || under_launcher()) return;
  const int engines = engines_wanted(wanted);

  std::vector<char> self(4096);
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (length <= 0) throw UsageError("RANKVIEW_ENGINES: cannot find this program's own file to start it again");

  std::vector<std::string> words = {"mpirun", "--oversubscribe", "-np", std::to_string(engines + 1),
                                    std::string(self.data(), static_cast<std::size_t>(length))};
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  if (geteuid() == 0) {
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
  }
  execvp("mpirun", arguments.data());
  throw UsageError(std::string("RANKVIEW_ENGINES: cannot start mpirun: ") + std::strerror(errno));
}

}  // namespace rankview::launch
