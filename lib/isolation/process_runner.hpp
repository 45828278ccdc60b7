// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/forker.hpp"
#include "isolation/runner.hpp"

#include <memory>
#include <utility>

namespace rankview::isolation {

// Runs tasks in children that a forker makes, and sees to it that each ends.
class ProcessRunner final : public Runner {
 public:
  explicit ProcessRunner(std::unique_ptr<Forker> forker) : forker_(std::move(forker)) {}

  Outcome run(const Task& task, Watcher& watcher) override;

 private:
  class Run;

  std::unique_ptr<Forker> forker_;
};

}  // namespace rankview::isolation
