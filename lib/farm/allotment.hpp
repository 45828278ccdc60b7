// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

namespace rankview::farm {

// What the batch job that a farm is in has told it: when the job will end (RANKVIEW_WALLTIME, or Slurm's word for it), how long before that
// the farm has to begin to end (RANKVIEW_WALLTIME_MARGIN_S), and where it says how much it has done (RANKVIEW_TALLY).
class Allotment {
 public:
  // Taken out of the environment, since it is not for the commands. Throws UsageError for times that are none.
  static Allotment take();
  // Tells nothing.
  Allotment() = default;
  Allotment(const Allotment&) = delete;
  Allotment& operator=(const Allotment&) = delete;
  Allotment(Allotment&&) = default;
  Allotment& operator=(Allotment&&) = delete;
  ~Allotment();

  // From here on this process gets SIGUSR1 when no further command should begin, and SIGALRM when none should run any more. Who takes
  // these signals has to be there. Throws std::system_error.
  void arm();
  void tally(std::uint64_t done) const;

 private:
  using Time = std::chrono::system_clock::time_point;

  void send_at(int signal, Time when);

  std::optional<Time> end_;
  std::chrono::seconds margin_{60};
  std::string tally_;
  std::vector<timer_t> timers_;
};

}  // namespace rankview::farm
