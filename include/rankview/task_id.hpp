// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace rankview::inline abi_0_1 {

/// Names one task for the life of a cluster: the call that made it, counted from 1, and its place among that call's tasks.
struct TaskId {
  std::uint64_t call = 0;
  std::uint64_t item = 0;

  friend auto operator<=>(const TaskId&, const TaskId&) = default;
};

/// `17.3`: item 3 of call 17.
[[nodiscard]] std::string to_string(const TaskId& id);
std::ostream& operator<<(std::ostream& out, const TaskId& id);

}  // namespace rankview

template <>
struct std::hash<rankview::TaskId> {
  std::size_t operator()(const rankview::TaskId& id) const noexcept {
    return std::hash<std::uint64_t>()(id.call * 0x9e3779b97f4a7c15U + id.item);
  }
};
