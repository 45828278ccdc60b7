// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

namespace rankview::inline abi_0_1 {

/// Stands for the engine's own variable wherever an argument is expected; made by ref(). With `T = void` the parameter of the
/// callable says what type the variable must have.
template <class T = void>
struct Reference {
  std::string name;

  // On the engine: calls the variable.
  template <class... A>
  auto operator()(A&&... arguments) const -> std::invoke_result_t<std::add_lvalue_reference_t<std::decay_t<T>>, A...>;
};

/// An argument that is the engine's variable `name` itself, bound by reference: a callable that takes a `std::vector<double>&`
/// changes it in place. May stand at any argument position, several times, and as an element of a map's range, where it is looked
/// up on the engine that runs the item.
///
/// The task fails with NameError if the engine has no such variable, and with TypeError if it has another type than the callable's
/// parameter. Costs nothing but its name in the message.
[[nodiscard]] inline Reference<> ref(std::string name) { return {std::move(name)}; }

/// The same for callables whose parameters are `auto`: the variable must be a `T`. And for a callable that is itself a variable of the
/// engine: `view.apply(rv::ref<double (*)(double)>("f"), 2)`, or of the type of a lambda or function object, which may change itself.
template <class T>
[[nodiscard]] Reference<T> ref(std::string name) {
  return {std::move(name)};
}

/// For no other argument than a name.
template <class T = void, class V>
requires(!std::is_convertible_v<const V&, std::string>) Reference<T> ref(const V&) {
  static_assert(sizeof(V) == 0,
                "rankview: ref() takes the name of an engine's variable, rv::ref(\"x\"); a value of rank 0 is passed as it is, or stored "
                "under a name first, view[\"x\"] = value");
  return {};
}

}  // namespace rankview
