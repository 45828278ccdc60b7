// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#define CATCH_CONFIG_RUNNER
#include "fixture.hpp"

#include <mpi.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <map>
#include <string>

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

// RANKVIEW_TEST_LEVEL: as a code initialises MPI that asks for less than rankview would. RANKVIEW_TEST_SECONDS: the time limit for all.
int main(int argc, char** argv) {
  const char* const level = std::getenv("RANKVIEW_TEST_LEVEL");
  const std::map<std::string, int> levels = {
      {"single", MPI_THREAD_SINGLE}, {"funneled", MPI_THREAD_FUNNELED}, {"serialized", MPI_THREAD_SERIALIZED}};
  int provided = 0;
  if (level != nullptr) {
    rv::prepare_isolation();
    MPI_Init_thread(&argc, &argv, levels.at(level), &provided);
  }
  std::signal(SIGALRM, too_late);
  const char* const seconds = std::getenv("RANKVIEW_TEST_SECONDS");
  alarm(seconds != nullptr ? static_cast<unsigned>(std::stoul(seconds)) : 280);
  const int result = rv::run(argc, argv, [&](rv::Client& rc) {
    running = &rc;
    const int failures = Catch::Session().run(argc, argv);
    return failures == 0 ? 0 : 1;
  });
  if (level != nullptr) MPI_Finalize();
  return result;
}
