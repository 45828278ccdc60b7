// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/child.hpp"
#include "farm/interpreter.hpp"
#include "farm/termination.hpp"
#include "farm/workers.hpp"
#include "isolation/fd.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace rankview::farm {

// What commands of this host have in common.
struct SlotTerms {
  std::size_t slots = 1;
  std::string shell;                // to which every command goes; empty: to /bin/sh if it needs one
  std::string temporary_directory;  // for what they write
  bool captured = true;             // else they write to where this process does
  int engine = 0;                   // told to commands, as is the host
  std::string host;
};

// Runs commands on this host: a thread for each slot, which starts a command, waits for it, and takes the next, so that commands are
// started side by side, too. A thread is made when it is first needed.
class SlotPool final : public Workers {
 public:
  explicit SlotPool(SlotTerms terms);
  // What runs is killed at once.
  ~SlotPool() override;

  [[nodiscard]] std::size_t slots() const override { return terms_.slots; }
  [[nodiscard]] std::size_t wanted(bool ahead) const override;
  void start(Job job) override;
  std::vector<Job> recall() override;
  std::vector<End> take_ended() override;
  void wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) override;
  void set_time_limit(std::chrono::nanoseconds limit) override;
  void kill() override;

 private:
  enum class State { open, killing, closed };
  class Slot;

  void run_slot(Slot& slot);
  void add_ended(End end);
  void tell_ended();
  void wake_all();

  const SlotTerms terms_;
  isolation::Fd ended_event_;
  std::atomic<std::int64_t> time_limit_{0};
  std::atomic<State> state_{State::open};
  std::atomic<bool> untold_{false};  // some have ended, and whoever waits was not told yet
  mutable std::mutex mutex_;         // guards what follows
  std::condition_variable changed_;
  std::deque<Job> queue_;
  std::size_t idle_ = 0;     // slots that wait for a job
  std::size_t in_hand_ = 0;  // jobs that were started and not taken back
  std::vector<End> ended_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace rankview::farm
