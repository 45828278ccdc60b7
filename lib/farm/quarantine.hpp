// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/job.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace rankview::farm {

// Tells a broken host from bad input. Commands that fail at once are not reported before another has succeeded on the same engine. When
// several different ones have failed in a row they are run elsewhere: if one of them succeeds there, its engine is set aside, nothing that
// fails there at once counts, and it is tried again with one command after a while; if all fail, it was their fault.
class Quarantine {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // So many failures in a row make an engine suspect.
  static constexpr std::size_t suspicious = 3;
  // A command that has failed within this has failed at once.
  static constexpr std::chrono::seconds at_once{2};
  // One is not held back for longer.
  static constexpr std::chrono::seconds held_for{5};
  // An engine is set aside for so long, and each time for twice as long.
  static constexpr std::chrono::seconds first_pause{60};

  // What follows from an end.
  struct Decision {
    std::vector<End> reported;
    std::vector<Job> elsewhere;     // to be run by other engines
    std::vector<std::string> news;  // lines for the user
  };
  // A command has ended on the engine.
  Decision ended(int engine, End end, Time now);
  // Nothing runs any more that could say more of those that were held back.
  std::vector<End> release();
  // Only those that were held back for too long.
  std::vector<End> release(Time now);
  // The engine has died. Gives what it had held back.
  std::vector<End> forget(int engine);

  // There is such an engine. What others do is reported as it is.
  void add(int engine) { engines_.try_emplace(engine); }
  // Whether it may be given a further command; `busy`: it has one.
  [[nodiscard]] bool takes(int engine, bool busy, Time now) const { return distrusted_ == 0 || takes_when_some_do_not(engine, busy, now); }

 private:
  enum class Standing { trusted, suspect, aside };
  struct Engine {
    Standing standing = Standing::trusted;
    std::vector<End> held;  // that failed, the last ones in a row
    Time held_since{};
    std::size_t elsewhere = 0;       // of its commands that are run by others
    std::size_t immune = 0;          // so many failures are taken for those of commands
    std::size_t next_immunity = 20;  // the next time that it was not its fault
    std::chrono::seconds pause{first_pause};
    Time until{};

    [[nodiscard]] bool tried_again(Time now) const { return standing == Standing::aside && now >= until; }
  };

  [[nodiscard]] bool any_other_trusted(int engine) const;
  static bool is_new(const std::vector<End>& held, const End& end);
  void ended_elsewhere(Engine& suspect, const End& end, Time now, Decision& decision);
  void send_elsewhere(int engine, Job job, Decision& decision);
  static void report_held(Engine& engine, Decision& decision);
  static void set_aside(Engine& engine, Time now);
  void trust(Engine& engine);
  [[nodiscard]] bool takes_when_some_do_not(int engine, bool busy, Time now) const;

  std::map<int, Engine> engines_;
  std::size_t distrusted_ = 0;  // of them
};

}  // namespace rankview::farm
