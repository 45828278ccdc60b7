// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "cluster/drain_signals.hpp"
#include "cluster/options.hpp"

#include <sys/types.h>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace rankview::inline abi_0_1 {

// When the job is over, by the option, or by what Slurm says; nothing if nobody says. `began`: when the run did.
std::optional<std::chrono::steady_clock::time_point> end_of_job(const detail::Effective& options,
                                                                std::chrono::steady_clock::time_point began);

// Has a run on rank 0 drain when a signal says so, or the end of the job is near, and end if it does not by itself. From a thread of its
// own.
class DrainWatch {
 public:
  // What is done, in this order, each at most once; the first and the last are told why it drains. The last does not return.
  struct Steps {
    std::function<void(const std::string& why)> drain;
    std::function<void()> hurry;
    std::function<void(const std::string& why)> end;
  };

  DrainWatch(const detail::Effective& options, std::optional<std::chrono::steady_clock::time_point> end_of_job, Steps steps);
  DrainWatch(const DrainWatch&) = delete;
  DrainWatch& operator=(const DrainWatch&) = delete;
  ~DrainWatch();

 private:
  using Time = std::chrono::steady_clock::time_point;

  void watch();
  void on_signal(const std::string& name);
  void do_next(const std::string& why);

  const Steps steps_;
  const std::chrono::milliseconds grace_;
  std::optional<Time> due_[3];  // when each is done if nothing happens
  int next_ = 0;                // of these
  std::string why_;             // it drains
  const pid_t process_;
  const int told_;  // an eventfd
  std::optional<DrainSignals> signals_;
  std::thread thread_;
};

}  // namespace rankview
