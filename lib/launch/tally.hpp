// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace rankview::launch {

// Says in that file how many tasks were done: a job that is submitted until nothing is left has to know whether it gets anything done.
inline void add_to_tally(const std::string& name, std::uint64_t done) {
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const std::string line = std::to_string(done) + "\n";
  if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    std::fprintf(stderr, "rankview: cannot write to %s (RANKVIEW_TALLY) how many tasks were done\n", name.c_str());
  if (file >= 0) ::close(file);
}
// In the one that RANKVIEW_TALLY names, if there is that variable.
inline void add_to_tally(std::uint64_t done) {
  const char* const name = std::getenv("RANKVIEW_TALLY");
  if (name != nullptr) add_to_tally(std::string(name), done);
}

}  // namespace rankview::launch
