// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"
#include "isolation/fd.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rankview::farm {

// A line of a job log, as far as somebody who resumes looks at it.
struct LoggedJob {
  std::uint64_t number = 0;
  bool succeeded = false;
};

// GNU parallel's list of what was run: a line for each command that has ended, with its number, host, start in seconds since the epoch,
// run time, exit value, signal, and the command; what was sent is 0, and what was received is how many bytes it has written to stdout.
class JobLog {
 public:
  enum class Opening { replace, append };

  // Writes the heading if the file is empty. Throws std::system_error.
  JobLog(std::string path, Opening opening);
  void add(const End& end) { unwritten_ += line(end); }
  // Writes what was added. Throws std::system_error.
  void flush();

  static constexpr std::string_view heading = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
  static std::string line(const End& end);
  // Shows what is in a log, in its order; nothing if there is no such file. Throws std::system_error if it cannot be read, and UsageError
  // if it is none.
  static void read(const std::string& path, const std::function<void(const LoggedJob&)>& show);

 private:
  const std::string path_;
  isolation::Fd file_;
  std::string unwritten_;
};

}  // namespace rankview::farm
