// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <functional>

namespace rankview::inline abi_0_1 {

/// The smaller of two values, for reduce() and its like; on arithmetic types it is MPI's own `MPI_MIN`.
struct Min {
  template <class T>
  constexpr T operator()(const T& a, const T& b) const {
    return b < a ? b : a;
  }
};

/// The larger of two values; on arithmetic types `MPI_MAX`.
struct Max {
  template <class T>
  constexpr T operator()(const T& a, const T& b) const {
    return a < b ? b : a;
  }
};

inline constexpr Min min{};
inline constexpr Max max{};

}  // namespace rankview
