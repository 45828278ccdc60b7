// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <type_traits>

namespace rankview::inline abi_0_1::detail {

// What is no timeout, since nobody can tell of what: 5 seconds, or milliseconds?
template <class T>
concept Number = std::is_arithmetic_v<T>;

template <Number T>
constexpr void refuse_timeout() {
  static_assert(!std::is_same_v<T, T>, "rankview: a time has a unit: 5s or 500ms, with `using namespace std::chrono_literals`");
}

}  // namespace rankview::detail
