// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/runner.hpp"
#include "isolation/slots.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sim {

// Runs isolated tasks in the engine's own thread, and has some crash, take too long, or not begin at all, as the world draws.
class Children final : public rankview::isolation::Runner {
 public:
  rankview::isolation::Outcome run(const rankview::isolation::Task& task, rankview::isolation::Watcher& watcher) override;
};

// The same side by side: each takes as long as the world draws.
class ChildrenInSlots final : public rankview::isolation::Slots {
 public:
  explicit ChildrenInSlots(std::size_t size) : size_(size) {}

  [[nodiscard]] std::size_t size() const override { return size_; }
  void start(std::shared_ptr<rankview::isolation::SlotTask> task) override;
  [[nodiscard]] bool any_ended() const override;
  std::vector<std::shared_ptr<rankview::isolation::SlotTask>> take_ended() override;

 private:
  struct Running {
    std::shared_ptr<rankview::isolation::SlotTask> task;
    std::int64_t end;

    [[nodiscard]] bool ended() const;
  };

  std::size_t size_;
  std::vector<Running> running_;
};

}  // namespace sim
