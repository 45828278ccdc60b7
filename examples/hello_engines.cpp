// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The first program: a function runs on every engine, and its results come back as a vector, in the order of the engines.
//
// Run:    mpirun -np 5 ./hello_engines
//
// Output, where what stands in <> differs from run to run:
//   4 engines
//   engine 0 is process <7539> on <node17>
//   engine 1 is process <7540> on <node17>
//   engine 2 is process <7541> on <node17>
//   engine 3 is process <7543> on <node17>

#include <rankview/rankview.hpp>

#include <unistd.h>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace rv = rankview;

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    const std::vector<int> ids = rc.ids();
    const std::vector<pid_t> pids = all.apply_sync(getpid);
    const std::vector<std::string> hosts = all.apply_sync(host_name);

    std::printf("%zu engines\n", ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) std::printf("engine %d is process %d on %s\n", ids[i], pids[i], hosts[i].c_str());
  });
}
