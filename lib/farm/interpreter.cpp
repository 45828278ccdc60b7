// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/interpreter.hpp"

#include "launch/in_path.hpp"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace rankview::farm {
namespace {

// To a shell these mean more than themselves, or may do so somewhere in a word.
constexpr std::string_view meaningful = "|&;<>()$`\\\"'*?[]#~=%!{}^\n\r\v\f";

// Words that are no programs, or not the programs of that name, where a shell reads them first. True and false are the same to both.
constexpr std::array words_of_shells{".",      ":",    "alias", "bg",       "break",  "case",    "cd",    "command", "continue", "do",
                                     "done",   "echo", "elif",  "else",     "esac",   "eval",    "exec",  "exit",    "export",   "fc",
                                     "fg",     "fi",   "for",   "getopts",  "hash",   "if",      "in",    "jobs",    "kill",     "local",
                                     "printf", "pwd",  "read",  "readonly", "return", "set",     "shift", "test",    "then",     "time",
                                     "times",  "trap", "type",  "ulimit",   "umask",  "unalias", "unset", "until",   "wait",     "while"};

std::vector<std::string> words_of_line(std::string_view line) {
  std::vector<std::string> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace

Interpreter::Interpreter(const std::string& shell) : shell_(shell.find('/') == std::string::npos ? launch::found_in_path(shell) : shell) {}

Invocation Interpreter::of(const std::string& command) {
  if (!shell_.empty() || command.find_first_of(meaningful) != std::string::npos) return by_shell(command);
  std::vector<std::string> words = words_of_line(command);
  if (words.empty() || std::find(words_of_shells.begin(), words_of_shells.end(), words[0]) != words_of_shells.end())
    return by_shell(command);
  const std::string& program = look_up(words[0]);
  // It is the shell that says what is wrong.
  if (program.empty()) return by_shell(command);
  return {program, std::move(words)};
}

Invocation Interpreter::by_shell(const std::string& command) const { return {shell(), {shell(), "-c", command}}; }

Invocation Interpreter::by_file(const std::string& path) const { return {shell(), {shell(), path}}; }

const std::string& Interpreter::look_up(const std::string& name) {
  const auto known = programs_.find(name);
  // One that has gone since is looked for anew.
  if (known != programs_.end() && ::access(known->second.c_str(), X_OK) == 0) return known->second;
  std::string& program = programs_[name];
  program = launch::found_in_path(name);
  return program;
}

}  // namespace rankview::farm
