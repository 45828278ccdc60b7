// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective.hpp>
#include <rankview/detail/misuse.hpp>
#include <rankview/operations.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

// Which reductions MPI can do by itself.
namespace rankview::inline abi_0_1::detail {

template <class T>
constexpr std::optional<Element> mpi_element() {
  if constexpr (std::is_same_v<T, bool>) {
    return Element::boolean;
  } else if constexpr (std::is_same_v<T, float>) {
    return Element::f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return Element::f64;
  } else if constexpr (std::is_same_v<T, long double>) {
    return Element::f_long;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    switch (sizeof(T)) {
      case 1:
        return is_signed ? Element::i8 : Element::u8;
      case 2:
        return is_signed ? Element::i16 : Element::u16;
      case 4:
        return is_signed ? Element::i32 : Element::u32;
      case 8:
        return is_signed ? Element::i64 : Element::u64;
      default:
        return std::nullopt;
    }
  } else {
    return std::nullopt;
  }
}

template <class Op, class T, template <class> class... Standard>
inline constexpr bool is_one_of = (... || (std::is_same_v<Op, Standard<void>> || std::is_same_v<Op, Standard<T>>));

// The operation of MPI that does on T what Op does.
template <class Op, class T>
constexpr std::optional<Operation> mpi_operation() {
  constexpr bool number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
  constexpr bool whole = std::is_integral_v<T> && number;
  if constexpr (!mpi_element<T>().has_value()) {
    return std::nullopt;
  } else if constexpr (number && is_one_of<Op, T, std::plus>) {
    return Operation::sum;
  } else if constexpr (number && is_one_of<Op, T, std::multiplies>) {
    return Operation::product;
  } else if constexpr (number && std::is_same_v<Op, Min>) {
    return Operation::minimum;
  } else if constexpr (number && std::is_same_v<Op, Max>) {
    return Operation::maximum;
  } else if constexpr (std::is_same_v<T, bool> && is_one_of<Op, T, std::logical_and>) {
    return Operation::logical_and;
  } else if constexpr (std::is_same_v<T, bool> && is_one_of<Op, T, std::logical_or>) {
    return Operation::logical_or;
  } else if constexpr (whole && is_one_of<Op, T, std::bit_and>) {
    return Operation::bit_and;
  } else if constexpr (whole && is_one_of<Op, T, std::bit_or>) {
    return Operation::bit_or;
  } else if constexpr (whole && is_one_of<Op, T, std::bit_xor>) {
    return Operation::bit_xor;
  } else {
    return std::nullopt;
  }
}

// What changes nothing when it is folded in.
template <class T>
constexpr T neutral(Operation operation) {
  switch (operation) {
    case Operation::product:
    case Operation::logical_and:
      return T(1);
    case Operation::minimum:
      return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
    case Operation::maximum:
      return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    case Operation::bit_and:
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return static_cast<T>(~T(0));
      return T(1);
    case Operation::sum:
    case Operation::logical_or:
    case Operation::bit_or:
    case Operation::bit_xor:
      break;
  }
  return T(0);
}

// A reduction of variables of type T with Op: of each element with those at the same place if T is a vector of what Op takes, else of the
// values as they are.
template <class T, class Op>
struct Elementwise {
  using Unit = T;
  static constexpr bool arrays = false;
};
template <class E, class A, class Op>
requires std::is_invocable_v<const Op&, const E&, const E&>
struct Elementwise<std::vector<E, A>, Op> {
  using Unit = E;
  static constexpr bool arrays = true;
};

template <class T, class Op>
consteval bool accepts_reduction() {
  using Unit = typename Elementwise<T, Op>::Unit;
  if constexpr (std::is_same_v<T, Refused> || !accepts_callable<Op>()) {
    return false;
  } else if constexpr (!std::is_invocable_v<const Op&, const Unit&, const Unit&>) {
    static_assert(never<T>, "rankview: the operation of a reduction must be callable as const with two elements");
    return false;
  } else if constexpr (!std::is_convertible_v<std::invoke_result_t<const Op&, const Unit&, const Unit&>, Unit>) {
    static_assert(never<T>, "rankview: the operation of a reduction must give an element again");
    return false;
  } else {
    return true;
  }
}
template <class T, class Op>
consteval bool accepts_reduction_of_all() {
  if constexpr (std::is_same_v<T, Refused> || !accepts_callable<Op>()) {
    return false;
  } else if constexpr (!std::is_invocable_r_v<T, const Op&, const T&, const T&>) {
    static_assert(never<T>, "rankview: the operation of reduce_all must be callable as const with two elements, and give one");
    return false;
  } else {
    return true;
  }
}

}  // namespace rankview::detail
