// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/commands.hpp"

#include "launch/in_path.hpp"

#include "isolation/fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

extern char** environ;

namespace rankview::submit {
namespace {

using Time = std::chrono::steady_clock::time_point;

// What is written to it can be read, without waiting for it.
std::pair<isolation::Fd, isolation::Fd> new_pipe() {
  auto ends = isolation::pipe_pair();
  ::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK);
  return ends;
}

// A file that nobody else sees, with that in it, to be read from the start.
isolation::Fd file_of(const std::string& text) {
  isolation::Fd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) throw std::system_error(errno, std::generic_category(), "memfd_create");
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(file.get(), text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw std::system_error(errno, std::generic_category(), "write");
    at += static_cast<std::size_t>(written);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// In a group of its own, so that what it starts can be ended with it. Its process number; 0 if there is no such command.
pid_t start(const std::vector<std::string>& words, int in, int out, int err) {
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? child : 0;
}

// Reads what is there. Whether more may come.
bool read_all(const isolation::Fd& from, std::string& to) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 && errno == EAGAIN;
    to.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

bool PosixCommands::has(const std::string& name) const { return !launch::found_in_path(name).empty(); }

Outcome PosixCommands::run(const std::vector<std::string>& words, const std::string& input, std::chrono::milliseconds limit) {
  Outcome outcome;
  auto [out, out_end] = new_pipe();
  auto [err, err_end] = new_pipe();
  const isolation::Fd in = file_of(input);
  const pid_t child = start(words, in.get(), out_end.get(), err_end.get());
  if (child == 0) {
    outcome.code = 127;
    outcome.err = words.front() + ": no such command";
    return outcome;
  }
  out_end.reset();
  err_end.reset();
  const isolation::Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  const Time end = std::chrono::steady_clock::now() + limit;
  bool out_open = true;
  bool err_open = true;
  // What it has started in the background may hold the pipes for longer.
  for (bool over = false; !over;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      outcome.too_late = true;
      ::kill(-child, SIGKILL);
      break;
    }
    std::array<pollfd, 3> fds{{{out_open ? out.get() : -1, POLLIN, 0}, {err_open ? err.get() : -1, POLLIN, 0}, {ended.get(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), static_cast<int>(left.count()));
    over = fds[2].revents != 0;
    if (out_open) out_open = read_all(out, outcome.out);
    if (err_open) err_open = read_all(err, outcome.err);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

void PosixCommands::pause(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

}  // namespace rankview::submit
