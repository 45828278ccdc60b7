// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/forker.hpp"

#include <rankview/variables.hpp>

namespace rankview::isolation {

// Forks this process, so that the child has the engine's variables as they are. Costs in proportion to the memory of this process.
class DirectForker final : public Forker {
 public:
  explicit DirectForker(Variables& variables) : variables_(variables) {}
  // Kills a child that has not ended.
  ~DirectForker() override;

  pid_t start(int socket, int errors, int output) override;
  [[nodiscard]] bool copies_memory() const override { return true; }
  void finish() override { forget(); }
  void kill() override;
  [[nodiscard]] int events() const override { return process_.get(); }
  std::optional<ChildEnd> end() override;

 private:
  void forget();

  Variables& variables_;
  pid_t child_ = 0;  // that has not been waited for
  Fd process_;       // the child, as a file descriptor
};

}  // namespace rankview::isolation
