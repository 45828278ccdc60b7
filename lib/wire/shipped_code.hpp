// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/code_address.hpp>

namespace rankview::inline abi_0_1::detail {

// The code of a call, as every process finds it. Zero where it has none.
struct ShippedCode {
  CodeAddress thunk{};
  CodeAddress function{};   // of a callable that is a function pointer
  CodeAddress predicate{};  // a bool() to be asked before each item

  friend auto operator<=>(const ShippedCode&, const ShippedCode&) = default;
};

// Found once, when a call is submitted, and kept to the end of the process: one for the same code. Throws UsageError as code_address()
// does. Thread-safe; remembers per thread what it looked up.
const ShippedCode& shipped_code(const void* thunk, const void* function, const void* predicate);
// The same of code that another process has found.
const ShippedCode& shipped_code(const ShippedCode& code);

}  // namespace rankview::detail
