// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

/// A callable whose captures travel as their bytes; made by by_value().
template <class F>
struct ByValue {
  F callable;

  template <class... A>
  requires std::is_invocable_v<const F&, A...>
  decltype(auto) operator()(A&&... arguments) const { return callable(std::forward<A>(arguments)...); }
};

/// States that copying the bytes of `lambda`, captures and all, into another process is right: it holds numbers and the like, and
/// neither pointers nor references. The bytes are sent once per call and engine.
template <class F>
[[nodiscard]] ByValue<std::decay_t<F>> by_value(F&& lambda) {
  static_assert(std::is_class_v<std::decay_t<F>>,
                "rankview: by_value() copies bytes, and a function is not made of any; pass it as it is, or a lambda that calls it");
  static_assert(std::is_trivially_copyable_v<std::decay_t<F>>,
                "rankview: by_value() copies bytes, which is wrong for what this lambda captures (a container, a string, ...); pass such "
                "values as arguments, or write a function object with a serialize() member");
  return {std::forward<F>(lambda)};
}

}  // namespace rankview
