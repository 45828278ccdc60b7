// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <exception>

namespace rankview::inline abi_0_1::detail {

// The exception that is being handled, never null. If there is none, the code within has called pthread_exit, or the thread was cancelled:
// that unwinds the stack like an exception, and may not be kept, so it ends the process with a sentence.
std::exception_ptr caught() noexcept;

}  // namespace rankview::detail
