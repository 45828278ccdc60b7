// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace rankview::inline abi_0_1 {

// While it lives, SIGUSR2 makes the process say on stderr what it does and waits for. Not if the program has a handler for that signal, or
// another of these is there.
class StatusReport {
 public:
  // `describe` is called in a thread of this, whatever the others do, and gives some lines.
  explicit StatusReport(std::function<std::string()> describe);
  StatusReport(const StatusReport&) = delete;
  StatusReport& operator=(const StatusReport&) = delete;
  ~StatusReport();

 private:
  void run() const;

  std::function<std::string()> describe_;
  int asked_ = -1;  // a descriptor that is readable when somebody has
  std::thread thread_;
};

}  // namespace rankview
