// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/job_log.hpp"

#include <rankview/errors.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <system_error>
#include <vector>

namespace rankview::farm {
namespace {

constexpr std::size_t columns_of_log = 9;
constexpr std::size_t exit_column = 6;
constexpr std::size_t signal_column = 7;

bool is_heading(std::string_view line) { return line.substr(0, 9) == "Seq\tHost\t"; }

}  // namespace

JobLog::JobLog(std::string path, Opening opening) : path_(std::move(path)) {
  const int how = opening == Opening::replace ? O_TRUNC : 0;
  file_ = isolation::Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | how, 0666));
  struct stat status {};
  if (!file_ || ::fstat(file_.get(), &status) != 0) throw std::system_error(errno, std::generic_category(), path_);
  if (status.st_size != 0) return;
  unwritten_ = heading;
  flush();
}

std::string JobLog::line(const End& end) {
  const bool killed = end.cause == Cause::timeout || end.cause == Cause::memory || end.cause == Cause::killed;
  const double started = static_cast<double>(end.started) * 1e-9;
  const double took = std::chrono::duration<double>(end.took).count();
  std::array<char, 160> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "\t%.3f\t%10.3f\t0\t%llu\t%d\t%d\t", started, took,
                static_cast<unsigned long long>(end.out.size()), killed ? -1 : end.status, killed ? SIGTERM : end.signal);
  std::string text = std::to_string(end.job.number) + "\t" + (end.host.empty() ? ":" : end.host) + numbers.data();
  // A line is a line: what GNU parallel writes for a newline is NUL.
  const std::size_t at = text.size();
  text += end.command;
  std::replace(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), '\n', '\0');
  return text + "\n";
}

void JobLog::read(const std::string& path, const std::function<void(const LoggedJob&)>& show) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT) return;
    throw std::system_error(errno, std::generic_category(), path);
  }
  bool first = true;
  for (std::string line; std::getline(file, line); first = false) {
    if (first && !is_heading(line)) throw UsageError(path + " is no job log");
    if (is_heading(line)) continue;
    std::array<std::string_view, columns_of_log> columns;
    std::string_view rest = line;
    std::size_t count = 0;
    for (; count + 1 < columns.size() && rest.find('\t') != std::string_view::npos; ++count) {
      columns[count] = rest.substr(0, rest.find('\t'));
      rest.remove_prefix(columns[count].size() + 1);
    }
    LoggedJob job;
    const std::string_view number = columns[0];
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), job.number);
    // One that was not written to its end says nothing.
    if (count + 1 < columns.size() || error != std::errc() || end != number.data() + number.size()) continue;
    job.succeeded = columns[exit_column] == "0" && columns[signal_column] == "0";
    show(job);
  }
}

void JobLog::flush() {
  std::string_view text = unwritten_;
  while (!text.empty()) {
    const ssize_t written = ::write(file_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category(), path_);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  unwritten_.clear();
}

}  // namespace rankview::farm
