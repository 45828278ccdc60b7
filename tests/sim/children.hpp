// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/runner.hpp"

namespace sim {

// Runs isolated tasks in the engine's own thread, and has some crash, take too long, or not begin at all, as the world draws.
class Children final : public rankview::isolation::Runner {
 public:
  rankview::isolation::Outcome run(const rankview::isolation::Task& task, rankview::isolation::Watcher& watcher) override;
};

}  // namespace sim
