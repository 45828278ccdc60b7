// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/archive.hpp>
#include <rankview/detail/members.hpp>

#include <array>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <variant>

// What is known of a type by looking at it: whether its bytes mean the same in another process, and who knows how it is serialised.
namespace rankview::inline abi_0_1::detail {

template <class T>
struct is_function_pointer : std::false_type {};
template <class R, class... A>
struct is_function_pointer<R (*)(A...)> : std::true_type {};
template <class R, class... A>
struct is_function_pointer<R (*)(A...) noexcept> : std::true_type {};

template <class T>
struct is_view : std::false_type {};
template <class C, class Traits>
struct is_view<std::basic_string_view<C, Traits>> : std::true_type {};
template <class T, std::size_t N>
struct is_view<std::span<T, N>> : std::true_type {};
template <class T>
struct is_view<std::reference_wrapper<T>> : std::true_type {};

// ---- who knows how a type is serialised ---------------------------------------------------------------------------------------

// A type that says itself, in public, how it is serialised. What it says goes before its bytes.
template <class T>
concept SerialisesItself = requires(T& value, OutArchive& archive) {
  value.serialize(archive, 0U);
}
|| requires(T& value, OutArchive& archive) { serialize(archive, value, 0U); };

namespace probe {

// A twin of the function by which Boost asks a class for its member. Boost's own is as good, so that a call of either is ambiguous, unless
// there is a better one: somebody's, for this type.
template <class Archive, class T>
void serialize(Archive& archive, T& value, const unsigned version);

template <class T>
concept Overloads = requires(OutArchive& archive, T& value, const boost::serialization::version_type& version) {
  serialize(archive, value, version);
};

// A member of that name is ambiguous here, whoever may call it.
struct Named {
  int serialize;
};
template <class T>
struct Both : T, Named {};

template <class T>
consteval bool has_hidden_member() {
  if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (std::is_final_v<T>) {
    return !std::is_aggregate_v<T>;  // it cannot be told
  } else {
    return !requires { &Both<T>::serialize; }
    &&!requires { &T::serialize; };
  }
}

}  // namespace probe

// Whether Boost.Serialization has been told about a class in any of the ways there are, so that it is worth asking.
template <class T>
concept BoostKnows = SerialisesItself<T> || probe::Overloads<T> || probe::has_hidden_member<T>();

// ---- what is only good in this process ----------------------------------------------------------------------------------------

template <class T>
concept IteratorLike = std::is_class_v<T> && !std::is_empty_v<T> && requires(T & at) {
  *at;
  ++at;
};

template <class T>
struct is_plain_range : std::false_type {};
template <class W, class B>
struct is_plain_range<std::ranges::iota_view<W, B>> : std::true_type {};
template <class T>
struct is_plain_range<std::ranges::single_view<T>> : std::true_type {};
template <class T>
struct is_plain_range<std::ranges::empty_view<T>> : std::true_type {};

template <class T>
concept ViewLike = is_view<T>::value ||(std::ranges::enable_view<T> && !is_plain_range<T>::value);

// The standard's, Boost's and others', all of which hold the address of a category.
template <class T>
concept ErrorCodeLike = std::is_class_v<T> && requires(const T& error) {
  error.value();
  error.category();
  error.message();
};

template <class T>
struct is_address : std::is_same<T, std::type_index> {};
template <>
struct is_address<std::thread::id> : std::true_type {};
template <class T>
struct is_address<std::initializer_list<T>> : std::true_type {};
// std::coroutine_handle and std::source_location, without their headers.
template <class T>
requires requires(const T& handle) { T::from_address(handle.address()); }
struct is_address<T> : std::true_type {};
template <class T>
requires requires(const T& place) {
  { place.file_name() } -> std::same_as<const char*>;
  { place.function_name() } -> std::same_as<const char*>;
}
struct is_address<T> : std::true_type {};

template <class T>
concept OnlyHere = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_reference_v<T> || IteratorLike<T> || ViewLike<T> ||
    ErrorCodeLike<T> || is_address<T>::value;

// ---- plain structs ------------------------------------------------------------------------------------------------------------

template <class T>
concept Aggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !requires {
  std::tuple_size<T>::value;
};

// The types of the members of an aggregate of T, if they can be told apart.
struct ListTypes {
  template <class... M>
  constexpr Types<std::remove_cv_t<M>...> operator()(Types<M...>, const auto&...) const {
    return {};
  }
};
template <class T>
using members_of = decltype(with_members<count_members<T>()>(std::declval<const T&>(), ListTypes()));

// ---- what travels as bytes ----------------------------------------------------------------------------------------------------

template <class T>
consteval bool lies_as_it_travels();

// Whether the standard's own wrappers, and what is known of the members of others, allow it.
template <class T>
inline constexpr bool as_it_lies = lies_as_it_travels<T>();
template <class T, std::size_t N>
inline constexpr bool as_it_lies<std::array<T, N>> = as_it_lies<T>;
template <class T>
inline constexpr bool as_it_lies<std::optional<T>> = as_it_lies<T>;
template <class... T>
inline constexpr bool as_it_lies<std::tuple<T...>> = (as_it_lies<T> && ...);
template <class... T>
inline constexpr bool as_it_lies<std::variant<T...>> = (as_it_lies<T> && ...);

template <class... M>
consteval bool lie_as_they_travel(Types<M...>) {
  return (as_it_lies<std::remove_all_extents_t<M>> && ...);
}

template <class T>
consteval bool lies_as_it_travels() {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return true;
  } else if constexpr (OnlyHere<T> || SerialisesItself<T>) {
    return false;
  } else if constexpr (Aggregate<T>) {
    constexpr std::size_t count = count_members<T>();
    if constexpr (count <= most_members) {
      return lie_as_they_travel(members_of<T>());
    } else {
      return count != unmade_member || std::is_copy_assignable_v<T>;  // a reference would be in the way of that
    }
  } else {
    return true;
  }
}

// What cannot be moved, as a mutex, may count as trivially copyable.
template <class T>
concept Bytes = std::is_trivially_copyable_v<T> && std::is_move_constructible_v<T> && as_it_lies<std::remove_cv_t<T>>;

}  // namespace rankview::detail
