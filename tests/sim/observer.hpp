// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/recorder.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sim {

// Sees to it that what is recorded of a run makes sense: each item is granted only while it has not ended, and ends once; a call is over
// when all of its items have ended, and then nothing more is said of it; before the run has ended, all of them are.
class Observer final : public rankview::controller::Recorder {
 public:
  // Throws if something does not.
  void check_end() const;

  void run_begins(const std::vector<rankview::controller::EngineInfo>& engines) override;
  void submitted(const rankview::detail::Call& call) override;
  void granted(const rankview::detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) override;
  void retried(const rankview::detail::Call& call, std::uint64_t item) override;
  void ended(const rankview::detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const rankview::LostEngine&) override {}
  void over(const rankview::detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  struct Known {
    bool submitted = false;
    bool over = false;
    std::vector<bool> ended;
    std::uint64_t count = 0;  // of these
  };

  void expect(bool right, const rankview::detail::Call& call, const char* what);
  Known& known(const rankview::detail::Call& call, std::uint64_t items);

  std::size_t engines_ = 0;
  std::map<std::uint64_t, Known> calls_;
  bool ends_ = false;
  std::string wrong_;  // what was, first
};

}  // namespace sim
