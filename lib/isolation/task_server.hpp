// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/forker.hpp"
#include "isolation/later_modules.hpp"

#include <cstdint>
#include <memory>

namespace rankview::isolation {

// A process beside this one that forks a child for each isolated task. It is made before MPI is initialised, so it has no MPI, one thread
// and little memory, and the code of this process at the same addresses: a fork of it is quick and safe. It ends with this process, and its
// children with it.
class TaskServer final : public Forker {
 public:
  // Throws std::system_error.
  static std::unique_ptr<TaskServer> fork();
  // Waits for its end.
  ~TaskServer() override;

  pid_t start(int socket, int errors) override;
  const std::vector<wire::LoadedModule>& later_modules() override { return later_modules_.get(); }
  void kill() override;
  [[nodiscard]] int events() const override { return control_.get(); }
  std::optional<ChildEnd> end() override;

 private:
  TaskServer(Fd control, pid_t pid) : control_(std::move(control)), pid_(pid) {}

  Fd control_;
  pid_t pid_;
  std::uint64_t number_ = 0;  // of the last child
  LaterModules later_modules_;
};

}  // namespace rankview::isolation
