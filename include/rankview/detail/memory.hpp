// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// How much memory a value takes, about: itself and the elements of the containers in it, without what allocators add. Walks containers
// whose elements have memory of their own.
namespace rankview::inline abi_0_1::detail {

template <class T>
struct is_pair_like : std::false_type {};
template <class A, class B>
struct is_pair_like<std::pair<A, B>> : std::true_type {};
template <class... T>
struct is_pair_like<std::tuple<T...>> : std::true_type {};

template <class T>
std::size_t memory_of(const T& value) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    return sizeof(T);
  } else if constexpr (is_pair_like<T>::value) {
    return std::apply([](const auto&... part) { return (memory_of(part) + ... + std::size_t{0}); }, value);
  } else if constexpr (std::ranges::sized_range<const T> && requires { typename T::value_type; }) {
    using Value = std::remove_cvref_t<typename T::value_type>;
    const auto count = static_cast<std::size_t>(std::ranges::size(value));
    if constexpr (requires { value.capacity(); } && std::is_same_v<Value, bool>) {
      return sizeof(T) + value.capacity() / 8;
    } else if constexpr (requires { value.capacity(); } && std::is_trivially_copyable_v<Value>) {
      return sizeof(T) + value.capacity() * sizeof(Value);
    } else if constexpr (std::is_trivially_copyable_v<Value>) {
      return sizeof(T) + count * sizeof(Value);
    } else {
      std::size_t bytes = sizeof(T);
      for (const auto& element : value) bytes += memory_of<Value>(element);
      return bytes;
    }
  } else {
    return sizeof(T);
  }
}

}  // namespace rankview::detail
