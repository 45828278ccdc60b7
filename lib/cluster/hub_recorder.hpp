// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/recorder.hpp"
#include "hub/task_database.hpp"
#include "transport/clock.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

// Puts down for the database what the controller says.
class HubRecorder final : public controller::Recorder {
 public:
  HubRecorder(std::shared_ptr<hub::TaskDatabase> database, const transport::Clock& clock) : database_(std::move(database)), clock_(clock) {}

  [[nodiscard]] const std::shared_ptr<hub::TaskDatabase>& database() const { return database_; }

  void run_begins(const std::vector<controller::EngineInfo>& engines) override;
  void submitted(const detail::Call& call) override;
  void granted(const detail::Call& /*call*/, std::uint64_t /*begin*/, std::uint64_t /*end*/, int /*engine*/) override {}
  void retried(const detail::Call& call, std::uint64_t item) override;
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const LostEngine& lost) override;
  void over(const detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  const std::shared_ptr<hub::TaskDatabase> database_;
  const transport::Clock clock_;
};

}  // namespace rankview
