// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/disk.hpp"

#include <ostream>
#include <string>

namespace rankview::cli {

// What somebody wants of a checkpoint.
struct CheckpointWish {
  std::string directory;
  std::string action;  // list, verify, compact or forget
  std::string key;     // that is to be forgotten, or the first digits of it
  bool json = false;
  bool failed = false;  // lists only what has failed
};

// Gives the exit code: 0, 1 if something is damaged, or 2 for a wish that makes no sense. Throws what the checkpoint's own functions do.
int look_after_checkpoint(const CheckpointWish& wish, checkpoint::Disk& disk, std::ostream& out, std::ostream& complaints);

// As a JSON string, in quotes. What is no UTF-8 becomes the character for that.
std::string json_text(const std::string& text);

}  // namespace rankview::cli
