// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/child.hpp"
#include "farm/interpreter.hpp"
#include "farm/job.hpp"
#include "isolation/fd.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace rankview::farm {

class ScriptFile;

struct SlotTerms {
  std::size_t slots = 1;            // cores, of which a command has one or more
  std::string shell;                // to which every command goes; empty: to /bin/sh if it needs one
  std::string temporary_directory;  // for what they write
  bool captured = true;             // else they write to where this process does
  bool suspects_hosts = true;       // of several, see Quarantine
  int engine = 0;                   // told to commands, as is the host
  std::string host;
};

// What all slots are told, from any thread.
struct SlotOrders {
  enum class State { open, killing, closed };
  std::atomic<State> state{State::open};
  std::atomic<std::int64_t> time_limit{0};  // nanoseconds a command may run, from now on, also those that run; zero for ever
};

// Tells whoever waits that commands have ended. From any thread.
class EndedBell {
 public:
  EndedBell();

  [[nodiscard]] int descriptor() const { return event_.get(); }
  // Some have, and it can be told later.
  void note() { untold_.store(true); }
  [[nodiscard]] bool untold() const { return untold_.load(); }
  // Tells it, if it was not told.
  void ring();
  // They have been taken.
  void clear();

 private:
  isolation::Fd event_;
  std::atomic<bool> untold_{false};
};

// Where commands run, one after the other.
class Slot {
 public:
  // All have to stay.
  Slot(const SlotTerms& terms, const SlotOrders& orders, EndedBell& bell, unsigned number);
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot();

  // Runs it to its end, with these GPUs.
  End run(Job job, const std::vector<std::string>& gpus);
  // Has it look again at what is wanted of it; from any thread.
  void wake() const;

  std::thread thread;  // of whoever has it

 private:
  using Time = std::chrono::steady_clock::time_point;

  void run_child(End& end, Time begun);
  void set_environment(const Job& job, const std::vector<std::string>& gpus);
  void start(const std::string& command, Streams streams, std::optional<ScriptFile>& script, std::optional<Child>& child);
  void watch(const Child& child, End& end, Time begun);
  [[nodiscard]] std::chrono::nanoseconds limit_of(const Job& job) const;
  static bool has_too_much(const Child& child, End& end);

  const SlotTerms& terms_;
  const SlotOrders& orders_;
  EndedBell& bell_;
  const unsigned number_;
  isolation::Fd woken_;
  Interpreter interpreter_;
  ChildEnvironment environment_;
};

}  // namespace rankview::farm
