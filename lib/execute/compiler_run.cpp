// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/compiler_run.hpp"

#include "isolation/fd.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

namespace rankview::execute {
namespace {

// English, with plain quotes, is what is read.
std::vector<std::string> environment_of_compiler(const std::string& scratch) {
  constexpr std::array<std::string_view, 9> left_out{"OMPI_", "PMIX_",   "PMI_",      "ORTE_",  "OPAL_",
                                                     "PRTE_", "LC_ALL=", "LANGUAGE=", "TMPDIR="};
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool wanted = true;
    for (const std::string_view beginning : left_out) wanted = wanted && !std::string_view(*entry).starts_with(beginning);
    if (wanted) entries.emplace_back(*entry);
  }
  entries.emplace_back("LC_ALL=C");
  entries.push_back("TMPDIR=" + scratch);
  return entries;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts it with its output into the pipe; 0 or the error.
int start(std::vector<std::string> words, const std::string& scratch, int output, pid_t& process) {
  std::vector<std::string> environment = environment_of_compiler(scratch);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error =
      ::posix_spawn(&process, words.front().c_str(), &actions, &attributes, pointers_to(words).data(), pointers_to(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

CompilerRun run_compiler(const std::vector<std::string>& words, const std::string& scratch) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw CompileError(std::string("the compiler cannot be started: ") + std::strerror(errno));
  const isolation::Fd output(ends[0]);
  isolation::Fd input(ends[1]);
  pid_t process = 0;
  const int error = start(words, scratch, input.get(), process);
  if (error != 0) throw CompileError("the compiler " + words.front() + " cannot be started: " + std::strerror(error));
  input.reset();
  CompilerRun run;
  std::array<char, 4096> part{};
  while (true) {
    const ssize_t count = ::read(output.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    run.said.append(part.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(process, &status, 0)) < 0 && errno == EINTR) continue;
  // Where the program has children reaped by the system, nobody knows how it ended but by what it has made.
  run.well = ended < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return run;
}

}  // namespace rankview::execute
