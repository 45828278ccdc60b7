// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/lanes.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

// Plain structs, which travel member by member without a word of code.
namespace rankview::inline abi_0_1::detail {

template <class T>
concept PlainStruct = Aggregate<T> && !Bytes<T> && !BoostKnows<T> && count_members<T>() <= most_members;

template <class T, std::size_t N>
struct lane<T[N]> : std::conditional_t<fixed_size<T> != 0, fixed_array<T, N>, variable_tuple<T>> {
  using parts = Types<T>;
  static void save(Writer& out, const T (&elements)[N]) {
    if constexpr (Bytes<T>) {
      save_side_by_side(out, elements, N, true);
    } else {
      for (const T& element : elements) codec<T>::save(out, element);
    }
  }
  static void read(Reader& in, T (&elements)[N]) {
    if constexpr (Bulk<T>) {
      in.raw(elements, sizeof(elements));
    } else {
      for (T& element : elements) detail::read(in, element);
    }
  }
};

// One member of a struct; its number is here for the compiler's messages.
template <class Struct, std::size_t Number, class M>
struct Member {
  static void save(Writer& out, const M& member) { codec<M>::save(out, member); }
  static auto load(Reader& in) { return codec<M>::load(in); }
};

template <PlainStruct T, class = members_of<T>>
struct by_member;
template <PlainStruct T, class... M>
struct by_member<T, Types<M...>> : tuple_size_of<M...> {
  // An array cannot be returned, and what is large need not lie on the stack.
  static constexpr bool in_place = (std::is_array_v<M> || ...) || bulky<T>;

  using parts = Types<std::remove_all_extents_t<M>...>;

  static void save(Writer& out, const T& value) {
    with_members<sizeof...(M)>(value, [&out](auto, const auto&... member) { save_each(out, std::index_sequence_for<M...>(), member...); });
  }
  static T load(Reader& in) {
    if constexpr (in_place) {
      T value{};
      read(in, value);
      return value;
    } else {
      return make(in, std::index_sequence_for<M...>());
    }
  }
  static void read(Reader& in, T& value) requires in_place {
    with_members<sizeof...(M)>(value, [&in](auto, auto&... member) { (detail::read(in, member), ...); });
  }

 private:
  template <std::size_t... I>
  static void save_each([[maybe_unused]] Writer& out, std::index_sequence<I...>, const M&... member) {
    (Member<T, I + 1, M>::save(out, member), ...);
  }
  // A braced list evaluates from left to right, which a call's arguments do not. A member of some bits gets what it had.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
  template <std::size_t... I>
  static T make([[maybe_unused]] Reader& in, std::index_sequence<I...>) {
    return T{Member<T, I + 1, M>::load(in)...};
  }
#pragma GCC diagnostic pop
};

template <PlainStruct T>
struct lane<T> : by_member<T> {};

}  // namespace rankview::detail
