// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace rankview::inline abi_0_1 {

/// Engines, or elements of a result, as Python slices a list: from `start` up to but without `stop`, every `step`-th; negative numbers
/// count from the end, and what lies outside is cut off. `rv::slice(1, 8, 2)`, `rv::slice({}, 3)`, `rv::slice({}, {}, -1)`.
class slice {
 public:
  explicit slice(std::optional<int> stop) : stop_(stop) {}
  slice(std::optional<int> start, std::optional<int> stop, int step = 1) : start_(start), stop_(stop), step_(step) {}

  /// Applied to a list of ids. Throws UsageError for a step of zero.
  [[nodiscard]] std::vector<int> of(const std::vector<int>& ids) const;
  /// The places that it names in a list of `count`. Throws as well.
  [[nodiscard]] std::vector<std::size_t> places(std::size_t count) const;

 private:
  std::optional<int> start_;
  std::optional<int> stop_;
  int step_ = 1;
};

}  // namespace rankview
