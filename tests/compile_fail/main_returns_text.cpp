// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client&) { return std::string("done"); });
}
