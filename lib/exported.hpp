// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

// Before everything else where a shared library is made: what users include can be seen from outside, what follows cannot, and neither
// can a class that users know by name alone.
namespace rankview::inline abi_0_1::detail {
class [[gnu::visibility("hidden")]] Controller;
}
#pragma GCC visibility push(default)
#include <rankview/rankview.hpp>
#pragma GCC visibility pop
