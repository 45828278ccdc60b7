// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#define CATCH_CONFIG_RUNNER
#include "fixture.hpp"

#include <unistd.h>
#include <csignal>
#include <cstdlib>

namespace {

rv::Client* running = nullptr;

// Something waits for ever. Catch tells on SIGABRT in which test.
void too_late(int) {
  constexpr char message[] = "rankview tests: the time limit has passed, giving up\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message, sizeof(message) - 1);
  std::abort();
}

}  // namespace

rv::Client& test::client() { return *running; }

int main(int argc, char** argv) {
  std::signal(SIGALRM, too_late);
  alarm(280);
  return rv::run(argc, argv, [&](rv::Client& rc) {
    running = &rc;
    const int failures = Catch::Session().run(argc, argv);
    return failures == 0 ? 0 : 1;
  });
}
