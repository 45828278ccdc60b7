// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// leftovers FILE: an isolated task starts a process and waits with it for ever; then the engine that waits for the task is killed. FILE
// gets the numbers of both.
#include <rankview/rankview.hpp>

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace rv = rankview;
using namespace std::chrono_literals;

void stay(const std::string& file) {
  const pid_t started = ::fork();
  if (started != 0) {
    std::ofstream(file + ".new") << getpid() << '\n' << started << '\n';
    std::filesystem::rename(file + ".new", file);
  }
  for (;;) pause();
}

int main(int argc, char** argv) {
  const std::string file = argv[1];
  return rv::run(argc, argv, [&file](rv::Client& rc) {
    const auto engine = rc[0].apply_sync([] { return static_cast<long>(getpid()); });
    const auto result = rc[0].with({.isolation = rv::process}).apply(stay, file);
    while (!std::filesystem::exists(file)) std::this_thread::sleep_for(1ms);
    ::kill(static_cast<pid_t>(engine), SIGKILL);
    result.wait();
    return 0;
  });
}
