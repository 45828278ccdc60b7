// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace rankview::inline abi_0_1 {

// Ends the process if this lives for longer than it may: what takes all ranks waits for ever for one that has died.
class StartGuard {
 public:
  // `what`: has not come about within that time. No limit with 0.
  StartGuard(std::chrono::seconds limit, std::string what);
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
  ~StartGuard();

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace rankview
