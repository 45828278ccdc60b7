// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/checkpoint.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview::controller {

// The checkpoints that a run has opened, by directory, until it ends. Thread-safe.
class Checkpoints {
 public:
  // For all of them; see Checkpoint::Settings.
  struct Settings {
    checkpoint::Disk& disk;
    transport::Clock clock;
    std::chrono::milliseconds lease{0};
    std::function<void()> attend;
  };

  explicit Checkpoints(Settings settings) : settings_(std::move(settings)) {}

  // Throws UsageError if the directory cannot be used. Reads what there is the first time.
  std::shared_ptr<checkpoint::Checkpoint> open(const std::string& directory);
  // Waits until all that was added is on disk, or the disk takes no more, or for so long each.
  void flush(std::optional<std::chrono::milliseconds> limit = std::nullopt);
  // From here on nobody is called.
  void stop_sharing();
  // The run has ended: other jobs may have at once what was this one's.
  void leave();
  // Throws UsageError if something else of that name and version was called in this run.
  void tell_apart(const checkpoint::Callable& callable, const std::type_info& type, const void* function);

 private:
  [[nodiscard]] std::vector<std::shared_ptr<checkpoint::Checkpoint>> all();
  [[nodiscard]] std::shared_ptr<checkpoint::Checkpoint> read(const std::string& directory) const;

  const Settings settings_;
  std::mutex mutex_;
  std::condition_variable opened_;
  std::set<std::string> opening_;  // those that somebody reads just now
  std::map<std::string, std::shared_ptr<checkpoint::Checkpoint>> open_;
  std::map<std::string, std::shared_ptr<checkpoint::Checkpoint>> named_;  // the same, as callers name them
  std::map<std::pair<std::string, std::string>, std::pair<const std::type_info*, const void*>> callables_;  // by name and version
};

}  // namespace rankview::controller
