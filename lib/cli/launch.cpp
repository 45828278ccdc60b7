// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/launch.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

extern char** environ;

namespace rankview::cli {
namespace {

using Time = std::chrono::steady_clock::time_point;

// Behind rank 0, and behind each signal to it, mpirun has so long to end.
constexpr std::chrono::seconds patience{5};

constexpr std::array passed_on{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

sigset_t signals(bool with_child) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : passed_on) sigaddset(&set, signal);
  if (with_child) sigaddset(&set, SIGCHLD);
  return set;
}

pid_t start(const Command& command) {
  for (const auto& [name, value] : command.environment) ::setenv(name.c_str(), value.c_str(), 0);
  std::vector<std::string> words = command.words;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // The child takes signals as this process did before.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, arguments[0], nullptr, &how, arguments.data(), environ);
  posix_spawnattr_destroy(&how);
  if (error != 0) throw std::system_error(error, std::generic_category(), words[0]);
  return child;
}

// Its status, if it has ended.
std::optional<int> ended(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, WNOHANG) != child) return std::nullopt;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ExitFile::ExitFile() {
  std::string name = (std::filesystem::temp_directory_path() / "rankview-exit-XXXXXX").string();
  const int fd = ::mkstemp(name.data());
  if (fd < 0) throw std::system_error(errno, std::generic_category(), name);
  ::close(fd);
  path_ = name;
}

ExitFile::~ExitFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

bool ExitFile::started() const {
  std::error_code none;
  const auto size = std::filesystem::file_size(path_, none);
  return !none && size != 0;
}

std::optional<int> ExitFile::code() const {
  std::ifstream file(path_);
  std::string word;
  int code = 0;
  if (file >> word >> code) return code;
  return std::nullopt;
}

int run_to_its_end(const Command& command, const ExitFile& exit_file) {
  const sigset_t waited = signals(true);
  ::sigprocmask(SIG_BLOCK, &waited, nullptr);
  const pid_t child = start(command);
  std::optional<Time> rank0_left;
  int pushes = 0;
  std::optional<int> status;
  while (!(status = ended(child))) {
    const timespec pause{0, 200'000'000};
    siginfo_t info{};
    const int signal = ::sigtimedwait(&waited, &info, &pause);
    if (signal > 0 && signal != SIGCHLD) ::kill(child, signal);
    if (!rank0_left && exit_file.code()) rank0_left = std::chrono::steady_clock::now();
    if (rank0_left && std::chrono::steady_clock::now() - *rank0_left > patience * (pushes + 1))
      ::kill(child, pushes++ < 2 ? SIGTERM : SIGKILL);
  }
  if (const auto code = exit_file.code()) return *code;
  if (*status == 0 && exit_file.started()) {
    std::fputs("rankview: rank 0 has ended without an exit code: it crashed, or was killed\n", stderr);
    return 1;
  }
  return *status;
}

}  // namespace rankview::cli
