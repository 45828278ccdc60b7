// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/halt.hpp"
#include "farm/interrupts.hpp"
#include "farm/job_log.hpp"
#include "farm/job_maker.hpp"
#include "farm/kept_output.hpp"
#include "farm/past.hpp"
#include "farm/printer.hpp"
#include "farm/time_limit.hpp"
#include "farm/workers.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace rankview::farm {

// How a farm goes about it.
struct FarmTerms {
  int attempts = 1;          // of each command, at most
  double memory_growth = 1;  // a command that had too much memory may have so many times as much when it is tried again
  Halt halt;
  TimeLimit time_limit;
  std::chrono::nanoseconds delay{0};  // from one start to the next, at least
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
};

// How far it is.
struct FarmCounts {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t skipped = 0;
  std::uint64_t running = 0;
};

// Who has a part in it. All of them have to stay; those that are pointers may be null.
struct FarmRooms {
  JobMaker& maker;
  Workers& workers;
  Printer& printer;
  Interrupts& interrupts;
  JobLog* log = nullptr;
  Past* past = nullptr;
  OutputKeeper* outputs = nullptr;
  std::function<void(const std::string&)> complain;  // is told a line
  std::function<void(const FarmCounts&)> watch;      // is told now and then how far it is
};

// Runs commands until there are none left, or it is to end before that: the order in which the rooms are gone through.
class Farm {
 public:
  // Exit codes: GNU parallel's for what has gone wrong, and the one that asks a batch system to start the job again.
  static constexpr int gone_wrong = 255;
  static constexpr int requeue = 75;

  Farm(FarmTerms terms, FarmRooms rooms) : terms_(std::move(terms)), rooms_(std::move(rooms)) {}

  // Gives the exit code. Throws what its rooms throw; then commands may run on until the workers go.
  int run();
  // How far it has come.
  [[nodiscard]] FarmCounts counts() const;

 private:
  enum class Phase {
    open,
    finishing,  // no further command is started
    killing,
  };

  void listen();
  void hand_out();
  bool next(Job& job);
  void wait();
  void refuse(Job job);
  void take(End end);
  void end_for_good(const End& end);
  void finish();
  void kill();
  [[nodiscard]] bool delayed() const;
  bool anything_left();
  [[nodiscard]] int exit_code();

  FarmTerms terms_;
  FarmRooms rooms_;
  Phase phase_ = Phase::open;
  Interrupts::Wish wish_ = Interrupts::Wish::none;
  std::deque<Job> again_;  // that have failed and are tried again, that wait for their time, or that were taken back
  bool input_ended_ = false;
  bool input_waited_for_ = false;
  bool any_killed_ = false;
  std::uint64_t in_hand_ = 0;  // of the workers
  std::chrono::steady_clock::time_point next_start_{};
};

}  // namespace rankview::farm
