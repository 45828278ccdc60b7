// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/log.hpp"

#include "farm/kept_output.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace rankview::cli {
namespace {

struct Found {
  farm::KeptOutput output;
  std::size_t file = 0;
};

std::string outcome_of(const farm::KeptOutput& output) {
  switch (output.cause) {
    case farm::Cause::timeout:
      return "timeout";
    case farm::Cause::memory:
      return "memory";
    case farm::Cause::refused:
      return "refused";
    default:
      return output.signal != 0 ? std::string("SIG") + ::sigabbrev_np(output.signal) : std::to_string(output.status);
  }
}

std::string line_of(const farm::KeptOutput& output) {
  std::array<char, 120> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "%8llu %7s %10.3f %10llu %10llu  ", static_cast<unsigned long long>(output.number),
                outcome_of(output).c_str(), static_cast<double>(output.took) * 1e-9, static_cast<unsigned long long>(output.out_size),
                static_cast<unsigned long long>(output.err_size));
  std::string command = output.command;
  std::replace(command.begin(), command.end(), '\n', ' ');
  return numbers.data() + (output.host.empty() ? ":" : output.host) + "  " + command + "\n";
}

}  // namespace

int show_log(const LogWish& wish, farm::TextSink& out, farm::TextSink& err) {
  std::vector<std::unique_ptr<farm::OutputFile>> files;
  std::map<std::uint64_t, Found> last;
  int code = 0;
  for (const auto& entry : std::filesystem::directory_iterator(wish.directory)) {
    if (entry.path().extension() != farm::OutputKeeper::ending) continue;
    files.push_back(std::make_unique<farm::OutputFile>(entry.path().string()));
    farm::KeptOutput output;
    while (files.back()->next(output)) {
      Found& found = last[output.number];
      if (output.started >= found.output.started) found = {output, files.size() - 1};
    }
    if (files.back()->damaged()) err.write("rankview log: " + entry.path().string() + " was not written to its end, or is damaged\n");
  }
  if (files.empty())
    throw UsageError("there is no output in " + wish.directory +
                     ": rankview farm --checkpoint keeps it there, unless it is told --results or -u");

  std::vector<std::uint64_t> shown = wish.numbers;
  if (shown.empty()) {
    for (const auto& [number, found] : last) shown.push_back(number);
  }
  const bool prints = wish.print || !wish.numbers.empty();
  if (!prints) out.write("  number    exit    seconds     stdout     stderr  host  command\n");
  for (const std::uint64_t number : shown) {
    const auto found = last.find(number);
    if (found == last.end()) {
      err.write("rankview log: there is no output of a command " + std::to_string(number) + "\n");
      code = 1;
      continue;
    }
    const farm::KeptOutput& output = found->second.output;
    if (wish.failed && output.succeeded()) continue;
    if (!prints) {
      out.write(line_of(output));
    } else if (!files[found->second.file]->copy(output, out, err)) {
      err.write("rankview log: the output of command " + std::to_string(number) + " is damaged\n");
      code = 1;
    }
  }
  return code;
}

}  // namespace rankview::cli
