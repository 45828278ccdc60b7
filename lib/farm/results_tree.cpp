// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/results_tree.hpp"

#include <fcntl.h>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace rankview::farm {
namespace {

// A path has no slashes within a name, and no NUL.
std::string as_name(const std::string& argument) {
  std::string name;
  for (const char c : argument) {
    if (c == '\\') {
      name += "\\\\";
    } else if (c == '\t') {
      name += "\\t";
    } else if (c == '\0') {
      name += "\\0";
    } else if (c == '/') {
      name += "\\_";
    } else {
      name += c;
    }
  }
  return name;
}

isolation::Fd created(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
  return isolation::Fd(fd);
}

}  // namespace

std::string results_directory(const std::string& root, const Arguments& arguments) {
  std::string path = root;
  for (std::size_t i = 0; i < arguments.size(); ++i) path += "/" + std::to_string(i + 1) + "/" + as_name(arguments[i]);
  return path;
}

OpenResults open_results(const std::string& directory, std::uint64_t number) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw std::system_error(error, directory);
  const std::string text = std::to_string(number);
  const isolation::Fd seq = created(directory + "/seq");
  if (::write(seq.get(), text.data(), text.size()) < 0) throw std::system_error(errno, std::generic_category(), directory + "/seq");
  return {created(directory + "/stdout"), created(directory + "/stderr")};
}

}  // namespace rankview::farm
