// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/recorder.hpp"
#include "hub/task_database.hpp"
#include "transport/clock.hpp"

#include <rankview/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

// Puts down for the database what the controller says.
class HubRecorder final : public controller::Recorder {
 public:
  HubRecorder(std::shared_ptr<hub::TaskDatabase> database, const transport::Clock& clock, Keep keep = Keep::none)
      : database_(std::move(database)), clock_(clock), keep_(keep) {}

  [[nodiscard]] const std::shared_ptr<hub::TaskDatabase>& database() const { return database_; }

  void run_begins(const std::vector<controller::EngineInfo>& engines) override;
  void submitted(const detail::Call& call) override;
  void granted(const detail::Call& /*call*/, std::uint64_t /*begin*/, std::uint64_t /*end*/, int /*engine*/) override {}
  void retried(const detail::Call& call, std::uint64_t item) override;
  void ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) override;
  void printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) override;
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const LostEngine& lost) override;
  void over(const detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  void tell_of(const detail::Call& call);
  void flush_kept();

  const std::shared_ptr<hub::TaskDatabase> database_;
  const transport::Clock clock_;
  const Keep keep_;
  hub::TasksKept kept_;                // of which the database has not been told
  std::set<std::uint64_t> told_code_;  // calls whose code it has been told
};

}  // namespace rankview
