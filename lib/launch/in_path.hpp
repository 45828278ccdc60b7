// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace rankview::launch {

// Whether it is a file that can be executed.
inline bool is_program(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// The path of a program that $PATH leads to, or that is a path itself; empty if there is none.
inline std::string found_in_path(const std::string& name) {
  if (name.empty()) return "";
  if (name.find('/') != std::string::npos) return is_program(name) ? name : "";
  const char* const variable = std::getenv("PATH");
  std::string_view path = variable == nullptr ? "/usr/local/bin:/usr/bin:/bin" : variable;
  for (;;) {
    const std::size_t end = path.find(':');
    const std::string_view directory = path.substr(0, end);
    std::string program(directory.empty() ? std::string_view(".") : directory);
    program.append("/").append(name);
    if (is_program(program)) return program;
    if (end == std::string_view::npos) return "";
    path.remove_prefix(end + 1);
  }
}

}  // namespace rankview::launch
