// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>

namespace rankview {

/// How a view makes its calls; given with `view.with({...})`.
struct Flags {
  /// Load-balanced `map`: how many items are handed out together, as balanced blocks: 10 items by 3 are 3, 3, 2, 2. Zero or less is a usage
  /// error. The default of 1 leaves the grouping to the scheduler, which measures how long items take.
  int chunksize = 1;
  /// A word of the caller's own, found again in the metadata of each task.
  std::string label{};
};

}  // namespace rankview
