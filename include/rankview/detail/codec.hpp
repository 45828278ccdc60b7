// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/archive.hpp>
#include <rankview/detail/code_address.hpp>
#include <rankview/reference.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

// How values become bytes. Three lanes, chosen at compile time by codec<T>:
//   bytes       trivially copyable types as they lie in memory; contiguous ranges of them in bulk
//   structure   the standard containers and tuples, element by element
//   Boost       everything else, through the type's own Boost.Serialization
namespace rankview::detail {

template <class T>
struct codec;

template <class T>
void save(Writer& out, const T& value) {
  codec<T>::save(out, value);
}

template <class T>
T load(Reader& in) {
  return codec<T>::load(in);
}

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

// Whether the standard's own wrappers hold nothing that is only good in this process.
template <class T>
inline constexpr bool holds_no_address = !std::is_pointer_v<T> && !std::is_member_pointer_v<T> && !is_view<T>::value;
template <class T, std::size_t N>
inline constexpr bool holds_no_address<std::array<T, N>> = holds_no_address<T>;
template <class T>
inline constexpr bool holds_no_address<std::optional<T>> = holds_no_address<T>;
template <class... T>
inline constexpr bool holds_no_address<std::tuple<T...>> = (holds_no_address<T> && ...);
template <class... T>
inline constexpr bool holds_no_address<std::variant<T...>> = (holds_no_address<T> && ...);

// A type that says itself, in public, how it is serialised. What it says goes before its bytes.
template <class T>
concept SerialisesItself = requires(T& value, OutArchive& archive) {
  value.serialize(archive, 0U);
}
|| requires(T& value, OutArchive& archive) { serialize(archive, value, 0U); };

template <class T>
concept Bytes = std::is_trivially_copyable_v<T> && holds_no_address<T> &&
    (std::is_arithmetic_v<T> || std::is_enum_v<T> || !SerialisesItself<T>);

// Plain structs inside of a class that is serialised by Boost.
template <class T>
struct travels_as_bytes : std::bool_constant<Bytes<T> && std::is_class_v<T> && std::is_copy_assignable_v<T>> {};

// The encoded size of T where it is the same for every value, 0 otherwise.
template <class T>
inline constexpr std::size_t fixed_size = [] {
  if constexpr (requires { codec<T>::size; }) {
    return codec<T>::size;
  } else {
    return std::size_t{0};
  }
}();

// The least that an element takes in a message.
template <class T>
inline constexpr std::size_t least_size = fixed_size<T> != 0 ? fixed_size<T> : 1;

// Everything that has no better rule below: Boost.Serialization.
template <class T>
struct codec {
  static constexpr bool sends = SerialisesItself<T> && std::is_default_constructible_v<T> && !std::is_pointer_v<T>;

  static consteval bool check() {
    static_assert(!std::is_pointer_v<T>,
                  "rankview: a raw pointer means nothing in another process; pass the value, a container, or rv::ref(\"name\") for data "
                  "that lives on the engine");
    static_assert(!std::is_member_pointer_v<T>, "rankview: a pointer to member cannot be sent; wrap the access in a lambda");
    static_assert(!is_view<T>::value,
                  "rankview: a view (std::span, std::string_view, std::reference_wrapper) does not own its data and cannot be a result or "
                  "an element; use std::vector or std::string");
    static_assert(std::is_default_constructible_v<T>,
                  "rankview: a type that is not trivially copyable must be default-constructible to be sent to another process");
    return true;
  }

  static void save(Writer& out, const T& value) {
    static_assert(check());
    OutArchive archive(out);
    archive << value;
  }
  static T load(Reader& in) {
    static_assert(check());
    T value;
    InArchive archive(in);
    archive >> value;
    return value;
  }
};

// Whether a value can be sent, as far as it can be told without trying: types that only Boost knows how to serialise may be sent all the
// same.
template <class T>
inline constexpr bool sendable = codec<T>::sends;

template <Bytes T>
struct codec<T> {
  static constexpr bool sends = true;
  static constexpr std::size_t size = sizeof(T);
  static void save(Writer& out, const T& value) { out.value(value); }
  static T load(Reader& in) { return in.value<T>(); }
};

template <class T>
requires is_function_pointer<T>::value struct codec<T> {
  static constexpr bool sends = true;
  static constexpr std::size_t size = sizeof(CodeAddress);
  static void save(Writer& out, T function) { out.value(code_address(reinterpret_cast<const void*>(function))); }
  static T load(Reader& in) { return reinterpret_cast<T>(const_cast<void*>(local_address(in.value<CodeAddress>()))); }
};

template <class C, class Traits, class A>
struct codec<std::basic_string<C, Traits, A>> {
  using Text = std::basic_string<C, Traits, A>;
  static constexpr bool sends = true;
  static void save(Writer& out, const Text& text) {
    out.value(static_cast<std::uint64_t>(text.size()));
    out.block(text.data(), text.size() * sizeof(C));
  }
  static Text load(Reader& in) {
    Text text(in.count(sizeof(C)), C());
    in.block(text.data(), text.size() * sizeof(C));
    return text;
  }
};

// Elements that a vector of them sends and receives as one block of memory.
template <class T>
concept Bulk = Bytes<T> && std::is_default_constructible_v<T> && !std::is_same_v<T, bool>;

template <class T, class A>
struct codec<std::vector<T, A>> {
  using Vector = std::vector<T, A>;
  static constexpr bool sends = sendable<T>;
  static void save(Writer& out, const Vector& elements) {
    out.value(static_cast<std::uint64_t>(elements.size()));
    if constexpr (Bulk<T>) {
      out.block(elements.data(), elements.size() * sizeof(T));
    } else {
      for (const T& element : elements) codec<T>::save(out, element);
    }
  }
  static Vector load(Reader& in) {
    const std::size_t count = in.count(least_size<T>);
    if constexpr (Bulk<T>) {
      Vector elements(count);
      in.block(elements.data(), count * sizeof(T));
      return elements;
    } else {
      Vector elements;
      // No more than the bytes at hand make likely, whatever the count says.
      elements.reserve(std::min(count, 1 + 16 * in.remaining() / sizeof(T)));
      for (std::size_t i = 0; i < count; ++i) elements.push_back(codec<T>::load(in));
      return elements;
    }
  }
};

// A key decides where it goes, and so must be there when its container is filled: before what is attached to a message has arrived. All of
// it goes into the message.
class WholeKey {
 public:
  explicit WholeKey(bool& flat) : flat_(flat), before_(std::exchange(flat, true)) {}
  WholeKey(const WholeKey&) = delete;
  WholeKey& operator=(const WholeKey&) = delete;
  ~WholeKey() { flat_ = before_; }

 private:
  bool& flat_;
  bool before_;
};

template <class K>
void save_key(Writer& out, const K& key) {
  const WholeKey whole(out.flat);
  codec<K>::save(out, key);
}
template <class K>
K load_key(Reader& in) {
  const WholeKey whole(in.flat());
  return codec<K>::load(in);
}

// Containers that are filled one element after the other.
template <class Container>
struct element_wise {
  using Element = typename Container::value_type;
  static constexpr bool sends = sendable<Element>;
  static void save(Writer& out, const Container& elements) {
    out.value(static_cast<std::uint64_t>(elements.size()));
    for (const auto& element : elements) codec<Element>::save(out, element);
  }
  static Container load(Reader& in) {
    const std::size_t count = in.count(least_size<Element>);
    Container elements;
    for (std::size_t i = 0; i < count; ++i) elements.insert(elements.end(), codec<Element>::load(in));
    return elements;
  }
};

// Sets, whose elements are keys.
template <class Set>
struct key_wise {
  using Key = typename Set::key_type;
  static constexpr bool sends = sendable<Key>;
  static void save(Writer& out, const Set& keys) {
    out.value(static_cast<std::uint64_t>(keys.size()));
    for (const Key& key : keys) save_key(out, key);
  }
  static Set load(Reader& in) {
    const std::size_t count = in.count(least_size<Key>);
    Set keys;
    for (std::size_t i = 0; i < count; ++i) keys.insert(keys.end(), load_key<Key>(in));
    return keys;
  }
};

template <class T, class A>
struct codec<std::deque<T, A>> : element_wise<std::deque<T, A>> {};
template <class T, class A>
struct codec<std::list<T, A>> : element_wise<std::list<T, A>> {};
template <class K, class C, class A>
struct codec<std::set<K, C, A>> : key_wise<std::set<K, C, A>> {};
template <class K, class C, class A>
struct codec<std::multiset<K, C, A>> : key_wise<std::multiset<K, C, A>> {};
template <class K, class H, class E, class A>
struct codec<std::unordered_set<K, H, E, A>> : key_wise<std::unordered_set<K, H, E, A>> {};
template <class K, class H, class E, class A>
struct codec<std::unordered_multiset<K, H, E, A>> : key_wise<std::unordered_multiset<K, H, E, A>> {};

// Maps, whose value_type has a const key.
template <class Map>
struct key_value {
  using Key = typename Map::key_type;
  using Value = typename Map::mapped_type;
  static constexpr bool sends = sendable<Key> && sendable<Value>;
  static void save(Writer& out, const Map& map) {
    out.value(static_cast<std::uint64_t>(map.size()));
    for (const auto& [key, value] : map) {
      save_key(out, key);
      codec<Value>::save(out, value);
    }
  }
  static Map load(Reader& in) {
    const std::size_t count = in.count(least_size<Key> + least_size<Value>);
    Map map;
    for (std::size_t i = 0; i < count; ++i) {
      Key key = load_key<Key>(in);
      map.emplace_hint(map.end(), std::move(key), codec<Value>::load(in));
      // Something may be on its way into a value that was not taken.
      if (map.size() != i + 1) throw DecodeError("a map that has a key twice");
    }
    return map;
  }
};

template <class K, class V, class C, class A>
struct codec<std::map<K, V, C, A>> : key_value<std::map<K, V, C, A>> {};
template <class K, class V, class C, class A>
struct codec<std::multimap<K, V, C, A>> : key_value<std::multimap<K, V, C, A>> {};
template <class K, class V, class H, class E, class A>
struct codec<std::unordered_map<K, V, H, E, A>> : key_value<std::unordered_map<K, V, H, E, A>> {};
template <class K, class V, class H, class E, class A>
struct codec<std::unordered_multimap<K, V, H, E, A>> : key_value<std::unordered_multimap<K, V, H, E, A>> {};

template <class... T>
struct variable_tuple {};
template <class... T>
struct fixed_tuple {
  static constexpr std::size_t size = (fixed_size<T> + ... + 0);
};
template <class... T>
using tuple_size_of = std::conditional_t<((fixed_size<T> != 0) && ...), fixed_tuple<T...>, variable_tuple<T...>>;

template <class A, class B>
requires(!Bytes<std::pair<A, B>>) struct codec<std::pair<A, B>> : tuple_size_of<A, B> {
  static constexpr bool sends = sendable<A> && sendable<B>;
  static void save(Writer& out, const std::pair<A, B>& pair) {
    codec<A>::save(out, pair.first);
    codec<B>::save(out, pair.second);
  }
  static std::pair<A, B> load(Reader& in) {
    A first = codec<A>::load(in);
    return {std::move(first), codec<B>::load(in)};
  }
};

template <class... T>
requires(!Bytes<std::tuple<T...>>) struct codec<std::tuple<T...>> : tuple_size_of<T...> {
  static constexpr bool sends = (sendable<T> && ...);
  static void save(Writer& out, const std::tuple<T...>& values) {
    std::apply([&out](const T&... value) { (codec<T>::save(out, value), ...); }, values);
  }
  // A braced list evaluates from left to right, which a call's arguments do not.
  static std::tuple<T...> load(Reader& in) { return std::tuple<T...>{codec<T>::load(in)...}; }
};

template <class T, std::size_t N>
requires(!Bytes<std::array<T, N>>) struct codec<std::array<T, N>> {
  static constexpr bool sends = sendable<T>;
  static void save(Writer& out, const std::array<T, N>& elements) {
    for (const T& element : elements) codec<T>::save(out, element);
  }
  static std::array<T, N> load(Reader& in) {
    return [&in]<std::size_t... I>(std::index_sequence<I...>) { return std::array<T, N>{(static_cast<void>(I), codec<T>::load(in))...}; }
    (std::make_index_sequence<N>());
  }
};

template <class T>
requires(!Bytes<std::optional<T>>) struct codec<std::optional<T>> {
  static constexpr bool sends = sendable<T>;
  static void save(Writer& out, const std::optional<T>& value) {
    out.value(static_cast<std::uint8_t>(value.has_value()));
    if (value) codec<T>::save(out, *value);
  }
  static std::optional<T> load(Reader& in) {
    if (in.value<std::uint8_t>() == 0) return std::nullopt;
    return codec<T>::load(in);
  }
};

template <class... T>
requires(!Bytes<std::variant<T...>>) struct codec<std::variant<T...>> {
  using Variant = std::variant<T...>;
  static constexpr bool sends = (sendable<T> && ...);
  static void save(Writer& out, const Variant& value) {
    if (value.valueless_by_exception()) throw UsageError("a std::variant without a value cannot be sent");
    out.value(static_cast<std::uint32_t>(value.index()));
    std::visit([&out]<class V>(const V& held) { codec<V>::save(out, held); }, value);
  }
  static Variant load(Reader& in) {
    const auto index = in.value<std::uint32_t>();
    if (index >= sizeof...(T))
      throw DecodeError("a std::variant of " + std::to_string(sizeof...(T)) + " alternatives holds number " + std::to_string(index));
    return alternative<0>(in, index);
  }

 private:
  template <std::size_t I>
  static Variant alternative(Reader& in, std::uint32_t index) {
    if constexpr (I + 1 < sizeof...(T)) {
      if (index != I) return alternative<I + 1>(in, index);
    }
    return Variant(std::in_place_index<I>, codec<std::variant_alternative_t<I, Variant>>::load(in));
  }
};

template <class T>
requires(!SerialisesItself<T> && !std::is_polymorphic_v<T>) struct codec<std::unique_ptr<T>> {
  static constexpr bool sends = sendable<T>;
  static void save(Writer& out, const std::unique_ptr<T>& value) {
    out.value(static_cast<std::uint8_t>(value != nullptr));
    if (value != nullptr) codec<T>::save(out, *value);
  }
  static std::unique_ptr<T> load(Reader& in) {
    if (in.value<std::uint8_t>() == 0) return nullptr;
    return std::make_unique<T>(codec<T>::load(in));
  }
};

template <class T>
struct codec<Reference<T>> {
  static constexpr bool sends = true;
  static void save(Writer& out, const Reference<T>& reference) { codec<std::string>::save(out, reference.name); }
  static Reference<T> load(Reader& in) { return {codec<std::string>::load(in)}; }
};

}  // namespace rankview::detail
