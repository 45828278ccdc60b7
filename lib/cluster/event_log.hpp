// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/recorder.hpp"
#include "transport/clock.hpp"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1 {

// Tells the story of a run, a line an event.
class EventLog final : public controller::Recorder {
 public:
  // `setting`, as RANKVIEW_LOG says it: `info`, calls and what goes wrong; `debug`, also who is given what and what has ended; behind a
  // colon the name of a file to add to, instead of stderr. Throws UsageError.
  static void check(const std::string& setting);
  // Null for an empty setting, which check() has taken. A file that cannot be written to is said to be so, and stderr takes its place.
  static std::unique_ptr<EventLog> make(const std::string& setting, const transport::Clock& clock);

  void run_begins(const std::vector<controller::EngineInfo>& engines) override;
  void submitted(const detail::Call& call) override;
  void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) override;
  void retried(const detail::Call& call, std::uint64_t item) override;
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const LostEngine& lost) override;
  void over(const detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stderr) std::fclose(file);
    }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  EventLog(File file, bool details, const transport::Clock& clock)
      : file_(std::move(file)), details_(details), clock_(clock), began_(clock.now()) {}
  void say(const std::string& event);

  File file_;
  const bool details_;
  transport::Clock clock_;
  std::int64_t began_;
};

}  // namespace rankview
