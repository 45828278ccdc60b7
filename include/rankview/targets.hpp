// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/slice.hpp>

namespace rankview::inline abi_0_1 {

/// Tag for "every live engine", looked up anew at each call.
struct All {};
inline constexpr All all{};

}  // namespace rankview
