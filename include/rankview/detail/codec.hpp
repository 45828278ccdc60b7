// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/aggregate.hpp>
#include <rankview/detail/containers.hpp>
#include <rankview/detail/lanes.hpp>
#include <rankview/detail/vocabulary.hpp>

#include <type_traits>

// How values become bytes. Three lanes, chosen at compile time by codec<T>:
//   bytes       trivially copyable types as they lie in memory; contiguous ranges of them in bulk
//   structure   the standard's types and plain structs, part by part
//   Boost       everything else, through the type's own Boost.Serialization
namespace rankview::inline abi_0_1::detail {

// What a class that Boost serialises may hold without another header of Boost's.
template <class T>
        struct travels_by_codec : std::bool_constant < std::is_class_v<T> &&
    !requires {
  lane<T>::known;
} && (!Bytes<T> || std::is_copy_assignable_v<T>) > {};

template <class T>
void save_by_codec(Writer& out, const T& value) {
  codec<T>::save(out, value);
}
template <class T>
void read_by_codec(Reader& in, T& value) {
  read(in, value);
}

}  // namespace rankview::detail
