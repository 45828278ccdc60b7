// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <compare>
#include <cstdint>

namespace rankview::inline abi_0_1::detail {

// Where code or constant data is, in a form that means the same in every process that runs the same files: the module (the
// executable or a shared library, named by a hash of its build-id) and the offset from where that module was loaded.
struct CodeAddress {
  std::uint64_t module = 0;
  std::uint64_t offset = 0;

  friend auto operator<=>(const CodeAddress&, const CodeAddress&) = default;
};

// Throws UsageError for memory outside of every loaded module. Thread-safe; remembers per thread what it looked up, and of shared libraries
// until one is closed.
CodeAddress code_address(const void* address);

// Throws DecodeError naming the module when it is not loaded here, or when the offset lies beyond it.
const void* local_address(const CodeAddress& address);

// Names the executable of this process: a hash of its build-id, or of its code when it was linked without one.
std::uint64_t executable_id();

}  // namespace rankview::detail
