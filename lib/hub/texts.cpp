// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "hub/texts.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unistd.h>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

namespace rankview::hub {

const char* text_of(Status status) {
  switch (status) {
    case Status::waiting:
      return "waiting";
    case Status::handed_out:
      return "handed out";
    case Status::completed:
      return "completed";
    case Status::failed:
      return "failed";
    case Status::aborted:
      break;
  }
  return "aborted";
}

std::string error_text(const std::exception_ptr& error) {
  if (error == nullptr) return "";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    const char* const what = known.what();
    return what == nullptr ? "" : what;
  } catch (...) {
    return "something that is no std::exception";
  }
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : name;
}

std::string loader_name(const void* code) {
  Dl_info info{};
  return ::dladdr(code, &info) != 0 && info.dli_sname != nullptr && info.dli_saddr == code ? info.dli_sname : "";
}

std::string place_of(const void* code) {
  Dl_info info{};
  if (::dladdr(code, &info) == 0 || info.dli_fname == nullptr) return "";
  std::array<char, 2 * sizeof(std::uintptr_t)> hex{};
  const auto offset = static_cast<std::uintptr_t>(static_cast<const char*>(code) - static_cast<const char*>(info.dli_fbase));
  const auto end = std::to_chars(hex.data(), hex.data() + hex.size(), offset, 16).ptr;
  return std::filesystem::path(info.dli_fname).filename().string() + "+0x" + std::string(hex.data(), end);
}

std::string command_line() {
  std::ifstream in("/proc/self/cmdline");
  std::string line;
  for (std::string word; std::getline(in, word, '\0');) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

void append(std::string& text, std::int64_t number) {
  std::array<char, 24> digits{};
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

}  // namespace rankview::hub
