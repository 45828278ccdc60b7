// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>

namespace rankview::inline abi_0_1 {

/// How the elements of a range are dealt to q engines. Of n elements each gets n / q, and the first n mod q one more.
enum class Distribution : std::uint8_t {
  block,        ///< consecutive elements to each: 0 1 2 3 | 4 5 6 | 7 8 9
  round_robin,  ///< every q-th to each: 0 3 6 9 | 1 4 7 | 2 5 8
};

inline constexpr Distribution block = Distribution::block;
inline constexpr Distribution round_robin = Distribution::round_robin;

/// How scatter() and gather() take a range apart and put it together: `{.dist = rv::round_robin, .flatten = true}`.
struct Layout {
  Distribution dist = block;
  /// The engines hold the single element of their part rather than a vector of one. Every part must have exactly one.
  bool flatten = false;
};

}  // namespace rankview
