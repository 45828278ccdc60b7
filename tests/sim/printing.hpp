// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/outputs.hpp"

#include <map>
#include <memory>
#include <string>

namespace sim {

// What tasks print that an engine runs, or a child of its: takes it as the descriptors of a process would.
class Printing final : public rankview::capture::Outputs {
 public:
  // While it lives it stands for what there was of the engine before it.
  explicit Printing(int engine);
  ~Printing() override;

  void divert() override { diverted_ = true; }
  void restore() override { diverted_ = false; }
  std::unique_ptr<rankview::capture::Printed> begin() override;
  void end(std::unique_ptr<rankview::capture::Printed> waiting) override;
  bool any() override { return !printed_->empty(); }
  rankview::capture::Texts take() override;

  void print(const std::string& text);

 private:
  const int engine_;
  Printing* const before_;
  bool diverted_ = false;
  std::unique_ptr<rankview::capture::Printed> printed_;  // null while no task runs
};

// For tasks.
void print(const std::string& text);

}  // namespace sim
