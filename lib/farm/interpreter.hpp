// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace rankview::farm {

// How a command is run: a program with its words, the first of which is its own name.
struct Invocation {
  std::string program;  // its file
  std::vector<std::string> words;
};

// Who understands commands: a shell, which is left out where a command means the same without one. Looks programs up once.
class Interpreter {
 public:
  static constexpr const char* standard_shell = "/bin/sh";

  // `shell`: to which every command goes, a path or a name in $PATH; if empty, /bin/sh gets those that need a shell.
  explicit Interpreter(const std::string& shell);

  Invocation of(const std::string& command);
  [[nodiscard]] Invocation by_shell(const std::string& command) const;
  // By a shell that reads the command from a file, since it is too long for an argument.
  [[nodiscard]] Invocation by_file(const std::string& path) const;

 private:
  // Empty if there is no such program.
  const std::string& look_up(const std::string& name);
  [[nodiscard]] std::string shell() const { return shell_.empty() ? standard_shell : shell_; }

  const std::string shell_;
  std::unordered_map<std::string, std::string> programs_;
};

}  // namespace rankview::farm
