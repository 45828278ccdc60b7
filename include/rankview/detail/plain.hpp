// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <complex>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// Types of the language and the library, made of such: their values are made, read, moved and destroyed without running code of the user's.
// So the runtime may do that while it holds a lock; what it does with all others it does without, since their code may call the library.
template <class T>
struct is_plain : std::bool_constant<std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_void_v<T>> {};
template <>
struct is_plain<std::monostate> : std::true_type {};
template <class C, class Traits>
struct is_plain<std::basic_string<C, Traits>> : std::true_type {};
template <class T>
struct is_plain<std::complex<T>> : is_plain<T> {};
template <class T>
struct is_plain<std::vector<T>> : is_plain<T> {};
template <class T>
struct is_plain<std::optional<T>> : is_plain<T> {};
template <class T, std::size_t n>
struct is_plain<std::array<T, n>> : is_plain<T> {};
template <class T, class U>
struct is_plain<std::pair<T, U>> : std::bool_constant<is_plain<T>::value && is_plain<U>::value> {};
template <class... T>
struct is_plain<std::tuple<T...>> : std::bool_constant<(is_plain<T>::value && ...)> {};

}  // namespace rankview::detail
