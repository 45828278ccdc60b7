// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/bytes.hpp>
#include <rankview/detail/stream.hpp>

#include <cfloat>
#include <cstddef>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <vector>

// Bytes of a value that are none of its members' have what was in memory before. Where two encodings of one value have to be the same, as
// for the keys of a checkpoint (Writer::canonical), they are written as zero.
namespace rankview::inline abi_0_1::detail {

template <class T>
consteval bool has_padding();

template <class... M>
consteval bool have_padding(Types<M...>, std::size_t size) {
  return (has_padding<M>() || ...) || (sizeof(M) + ... + 0) != size;
}

// Whether there are such bytes that can be told: those of structs whose members are known, and what holds them. Of a class that hides its
// members nobody knows.
template <class T>
consteval bool has_padding() {
  if constexpr (std::has_unique_object_representations_v<T> || !Bytes<T>) {
    return false;
  } else if constexpr (std::is_same_v<T, long double>) {
    return true;
  } else if constexpr (std::is_array_v<T>) {
    return has_padding<std::remove_all_extents_t<T>>();
  } else if constexpr (requires {
                         typename T::value_type;
                         std::tuple_size<T>::value;
                       }) {
    return has_padding<typename T::value_type>();
  } else if constexpr (Aggregate<T>) {
    if constexpr (count_members<T>() <= most_members) {
      return have_padding(members_of<T>(), sizeof(T));
    } else {
      return false;
    }
  } else {
    return false;
  }
}
template <class T>
inline constexpr bool padded = has_padding<T>();

// Writes a value over zeros.
template <class T>
void put_without_padding(std::byte* to, const T& value) {
  if constexpr (!padded<T>) {
    std::memcpy(to, static_cast<const void*>(&value), sizeof(T));
  } else if constexpr (std::is_same_v<T, long double>) {
    std::memcpy(to, &value, LDBL_MANT_DIG == 64 ? 10 : sizeof(T));  // x86's has 80 bits
  } else if constexpr (std::is_array_v<T> || requires { std::tuple_size<T>::value; }) {
    for (const auto& element : value)
      put_without_padding(to + (reinterpret_cast<const std::byte*>(&element) - reinterpret_cast<const std::byte*>(&value)), element);
  } else {
    const auto* const begin = reinterpret_cast<const std::byte*>(&value);
    bool all = true;
    const auto put = [&](const auto& member) {
      const std::ptrdiff_t offset = reinterpret_cast<const std::byte*>(&member) - begin;
      // A member of some bits is copied elsewhere to be looked at.
      const bool within = offset >= 0 && static_cast<std::size_t>(offset) + sizeof(member) <= sizeof(T);
      if (within) put_without_padding(to + offset, member);
      all = all && within;
    };
    with_members<count_members<T>()>(value, [&put](auto, const auto&... member) { (put(member), ...); });
    if (!all) std::memcpy(to, static_cast<const void*>(&value), sizeof(T));
  }
}

// Writes values that lie side by side and travel as bytes: as a block, or, `raw`, as part of the message.
template <class T>
void save_side_by_side(Writer& out, const T* values, std::size_t count, bool raw = false) {
  if constexpr (padded<T>) {
    if (out.canonical) {
      const auto bytes = std::make_shared<std::vector<std::byte>>(count * sizeof(T));
      for (std::size_t i = 0; i < count; ++i) put_without_padding(bytes->data() + i * sizeof(T), values[i]);
      const Writer::Mark mark = out.mark();
      raw ? out.raw(bytes->data(), bytes->size()) : out.block(bytes->data(), bytes->size());
      if (out.attached_since(mark)) out.kept.push_back(bytes);
      return;
    }
  }
  raw ? out.raw(values, count * sizeof(T)) : out.block(values, count * sizeof(T));
}

}  // namespace rankview::detail
