// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/checkpoint.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace rankview::controller {

// The checkpoints that a run has opened, by directory, until it ends. Thread-safe.
class Checkpoints {
 public:
  explicit Checkpoints(checkpoint::Disk& disk) : disk_(disk) {}

  // Throws UsageError if the directory cannot be used. Reads what there is the first time.
  std::shared_ptr<checkpoint::Checkpoint> open(const std::string& directory);
  // Waits until all that was added is on disk, or the disk takes no more.
  void flush();

 private:
  checkpoint::Disk& disk_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<checkpoint::Checkpoint>> open_;
};

}  // namespace rankview::controller
