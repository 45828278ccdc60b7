// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/process.hpp"

#include <unistd.h>
#include <cstdio>

namespace rankview::transport {

void end_process(int code, const std::string& why) {
  std::fprintf(stderr, "rankview: %s\n", why.c_str());
  std::fflush(nullptr);
  _exit(code == 0 ? 1 : code);
}

}  // namespace rankview::transport
