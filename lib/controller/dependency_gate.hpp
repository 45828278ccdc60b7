// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_registry.hpp"
#include "scheduler/dependencies.hpp"

#include <rankview/detail/call.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace rankview::controller {

// Holds calls back until the tasks that they depend on have ended, and finds out when they may go on or never will.
//
// What a task's end decides is not carried out here: next() gives one decision after the other, so that a chain of failures is a loop.
class DependencyGate {
 public:
  // What a call is to wait for.
  struct Waiting {
    struct On {
      detail::Call* call;
      std::uint64_t item;
      scheduler::Dependencies::Need need;
    };

    scheduler::Dependencies::Needs needs;
    std::vector<On> open;          // what has not ended
    TaskId bad;                    // a task that has ended, and not as asked for
    bool takes_arguments = false;  // results are among its arguments, which are encoded when all of them are there

    [[nodiscard]] bool waits() const { return takes_arguments || needs.follow || needs.after.verdict() != scheduler::Verdict::met; }
  };

  // A call that need not wait any more, or has waited in vain. It is in flight.
  struct Decision {
    detail::Call* call = nullptr;
    bool met = false;
    std::vector<int> engines{};  // where it may run, if that was found out; none for where it always might
    TaskId cause;                // what it waited for in vain
  };

  // `run`: whose calls these are.
  DependencyGate(const detail::Controller* run, const CallRegistry& calls) : run_(run), calls_(calls) {}

  // Looks up what the call's flags and arguments name. Throws InvalidDependency or UsageError, and then nothing has changed.
  Waiting look_up(detail::Call& call) const;
  void hold(detail::Call& call, Waiting&& waiting);

  // A task has ended, and its call may be waited for.
  void ended(const detail::Call& call, std::uint64_t item);
  // The call is over: nobody can wait for it any more.
  void forget(detail::Call& call);

  // Whether anything has been decided that next() has not given.
  [[nodiscard]] bool decided() const { return dependencies_.decided(); }
  // The next decision; one without a call if there is none or it does not wait any more.
  Decision next();
  // Why a call that depends on this task cannot run, for each of its tasks. Under next(), since it asks the call of that task.
  [[nodiscard]] std::function<std::exception_ptr(const TaskId&)> impossible(const TaskId& cause) const;

 private:
  [[nodiscard]] detail::Call& resolve(const detail::Prerequisite& prerequisite) const;
  void count(const Dependency& dependency, Waiting& waiting, scheduler::Dependencies::Need need) const;

  const detail::Controller* const run_;
  const CallRegistry& calls_;
  scheduler::Dependencies dependencies_;
};

}  // namespace rankview::controller
