// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/remote_shell.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <system_error>
#include <utility>

namespace rankview::cli {
namespace {

std::system_error failed(const std::string& what) { return {errno, std::generic_category(), what}; }

// Takes the line out of what was said, and passes the rest on.
class Listener {
 public:
  void hear(const char* text, std::size_t size) {
    if (reached_) {
      std::fwrite(text, 1, size, stdout);
    } else {
      waiting_.append(text, size);
      for (auto end = waiting_.find('\n'); end != std::string::npos && !reached_; end = waiting_.find('\n')) {
        const std::string line = waiting_.substr(0, end);
        waiting_.erase(0, end + 1);
        reached_ = line == host_reached;
        if (!reached_) std::printf("%s\n", line.c_str());
      }
      if (reached_) std::fputs(std::exchange(waiting_, {}).c_str(), stdout);
    }
    std::fflush(stdout);
  }
  void end() {
    std::fputs(waiting_.c_str(), stdout);
    std::fflush(stdout);
  }
  [[nodiscard]] bool reached() const { return reached_; }

 private:
  std::string waiting_;
  bool reached_ = false;
};

pid_t start(std::vector<std::string> command, int said) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw failed("fork");
  if (child > 0) return child;
  // It ends with whoever waits for it.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  ::dup2(said, STDOUT_FILENO);
  ::execvp(arguments[0], arguments.data());
  std::fprintf(stderr, "rankview: %s cannot be started: %s\n", arguments[0], std::generic_category().message(errno).c_str());
  ::_exit(127);
}

}  // namespace

std::vector<std::string> remote_command(const std::string& shell, const std::vector<std::string>& words) {
  std::vector<std::string> command;
  std::istringstream in(shell);
  for (std::string word; in >> word;) command.push_back(word);
  const auto host = std::find_if(words.begin(), words.end(), [](const std::string& word) { return word.rfind('-', 0) != 0; });
  command.insert(command.end(), words.begin(), host);
  if (host == words.end()) return command;
  command.push_back(*host);
  std::string there = std::string("echo ") + host_reached + ";";
  for (auto word = host + 1; word != words.end(); ++word) there += " " + *word;
  command.push_back(std::move(there));
  return command;
}

int code_for_mpirun(int code, bool reached) {
  constexpr int connection_lost = 255;  // ssh's
  return reached && (code == connection_lost || code > 128) ? 0 : code;
}

int run_remote_shell(const std::string& shell, const std::vector<std::string>& words) {
  std::array<int, 2> said{};
  if (::pipe2(said.data(), O_CLOEXEC) != 0) throw failed("pipe2");
  const pid_t child = start(remote_command(shell, words), said[1]);
  ::close(said[1]);
  Listener listener;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t got = ::read(said[0], part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    listener.hear(part.data(), static_cast<std::size_t>(got));
  }
  listener.end();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw failed("waitpid");
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_for_mpirun(code, listener.reached());
}

}  // namespace rankview::cli
