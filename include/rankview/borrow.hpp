// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::inline abi_0_1 {

/// An argument that the caller keeps; made by borrow().
template <class T>
struct Borrowed {
  const T* value;
};

/// Passes `value` to an asynchronous call without a copy of it: the caller promises that it stays alive and unchanged until the result
/// is ready. (The `_sync` forms borrow all their arguments anyway.)
template <class T>
[[nodiscard]] Borrowed<T> borrow(const T& value) noexcept {
  return {&value};
}
template <class T>
Borrowed<T> borrow(const T&&) {
  static_assert(sizeof(T) == 0, "rankview: borrow() was given a temporary, which is gone before the result is there; pass it as it is");
}

}  // namespace rankview
