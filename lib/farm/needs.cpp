// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/needs.hpp"

#include "farm/time_limit.hpp"
#include "submit/resources.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <system_error>

namespace rankview::farm {
namespace {

constexpr std::string_view mark = "#rv ";

// Whether it is as in name=value, without anything of a shell's.
bool is_setting(const std::string& word) {
  const auto equals = word.find('=');
  return equals != std::string::npos && equals != 0 && equals + 1 != word.size() &&
         std::all_of(word.begin(), word.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '=' || c == '.' || c == ':' || c == '_'; });
}

// Where the mark is; none where that is just a part of the command.
std::size_t find_mark(const std::string& command) {
  const auto at = command.rfind(mark);
  if (at == std::string::npos || (at != 0 && std::isspace(static_cast<unsigned char>(command[at - 1])) == 0)) return std::string::npos;
  std::istringstream words(command.substr(at + mark.size()));
  bool any = false;
  for (std::string word; words >> word; any = true) {
    if (!is_setting(word)) return std::string::npos;
  }
  return any ? at : std::string::npos;
}

unsigned count_of(const std::string& name, const std::string& value, unsigned least) {
  unsigned count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (error != std::errc() || end != value.data() + value.size() || count < least)
    throw UsageError(name + " should be a number, " + std::to_string(least) + " or more, and is " + value);
  return count;
}

void set(Needs& needs, const std::string& name, const std::string& value) {
  if (name == "cores") {
    needs.cores = count_of(name, value, 1);
  } else if (name == "memory") {
    needs.memory = submit::parse_memory(value);
  } else if (name == "gpus") {
    needs.gpus = count_of(name, value, 0);
  } else if (name == "timeout") {
    needs.timeout = duration_of(value, name);
  } else {
    throw UsageError("there is no " + name + "; a command can say cores, memory, gpus and timeout");
  }
}

// A number from a file's beginning, or 0.
std::uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return file ? number : 0;
}

// What the kernel leaves to this process and its children, or 0 for all of it.
std::uint64_t memory_of_group() {
  std::ifstream file("/proc/self/cgroup");
  std::uint64_t least = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (std::filesystem::path group = line.substr(3); group.has_relative_path(); group = group.parent_path()) {
      const std::uint64_t limit = number_in("/sys/fs/cgroup" + group.string() + "/memory.max");
      if (limit != 0) least = least == 0 ? limit : std::min(least, limit);
    }
  }
  return least;
}

std::uint64_t memory_here() {
  constexpr std::uint64_t mebibyte = 1024 * 1024;
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  std::ifstream file("/proc/meminfo");
  std::uint64_t kibibytes = 0;
  for (std::string name, unit; file >> name >> kibibytes && std::getline(file, unit);) {
    if (name == "MemTotal:") bytes = kibibytes * 1024;
  }
  if (const std::uint64_t limit = memory_of_group()) bytes = std::min(bytes, limit);
  if (const char* const slurm = std::getenv("SLURM_MEM_PER_NODE")) {
    const std::uint64_t limit = std::strtoull(slurm, nullptr, 10) * mebibyte;
    if (limit != 0) bytes = std::min(bytes, limit);
  }
  return bytes == std::numeric_limits<std::uint64_t>::max() ? 0 : bytes;
}

// RANKVIEW_GPUS says how many; else those that are visible, or have a device.
std::vector<std::string> gpus_here() {
  std::vector<std::string> gpus;
  if (const char* const count = std::getenv("RANKVIEW_GPUS")) {
    for (unsigned i = 0; i < count_of("RANKVIEW_GPUS", count, 0); ++i) gpus.push_back(std::to_string(i));
    return gpus;
  }
  if (const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES")) {
    std::istringstream names(visible);
    for (std::string name; std::getline(names, name, ',');) gpus.push_back(name);
    return gpus;
  }
  while (std::filesystem::exists("/dev/nvidia" + std::to_string(gpus.size()))) gpus.push_back(std::to_string(gpus.size()));
  return gpus;
}

std::string in_gigabytes(std::uint64_t bytes) {
  std::ostringstream text;
  text << static_cast<double>(bytes >> 20U) / 1024 << "G";
  return text.str();
}

}  // namespace

Needs take_needs(std::string& command, const Needs& usual) {
  Needs needs = usual;
  const std::size_t at = find_mark(command);
  if (at == std::string::npos) return needs;
  std::istringstream words(command.substr(at + mark.size()));
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    try {
      set(needs, word.substr(0, equals), word.substr(equals + 1));
    } catch (const UsageError& error) {
      throw UsageError(std::string(error.what()) + ", in: " + command);
    }
  }
  command.erase(at);
  while (!command.empty() && std::isspace(static_cast<unsigned char>(command.back())) != 0) command.pop_back();
  return needs;
}

Capacity capacity_here(std::size_t cores) { return {cores, memory_here(), gpus_here()}; }

std::string too_much(const Needs& needs, std::size_t cores, std::uint64_t memory, std::size_t gpus) {
  const auto said = [](const std::string& wanted, const std::string& there) { return "it wants " + wanted + ", and there are " + there; };
  if (needs.cores > cores) return said(std::to_string(needs.cores) + " cores", std::to_string(cores));
  if (memory != 0 && needs.memory > memory) return said(in_gigabytes(needs.memory) + " of memory", in_gigabytes(memory));
  if (needs.gpus > gpus) return said(std::to_string(needs.gpus) + " GPUs", std::to_string(gpus));
  return "";
}

}  // namespace rankview::farm
