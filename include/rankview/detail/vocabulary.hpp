// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/lanes.hpp>

#include <array>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

// The standard's types that are no containers: strings, tuples and what may be empty.
namespace rankview::inline abi_0_1::detail {

template <class C, class Traits, class A>
struct lane<std::basic_string<C, Traits, A>> {
  using Text = std::basic_string<C, Traits, A>;

  using parts = Types<>;
  static void save(Writer& out, const Text& text) {
    out.value(static_cast<std::uint64_t>(text.size()));
    out.block(text.data(), text.size() * sizeof(C));
  }
  static void save(Writer&, const Text&&) = delete;  // what is attached is borrowed
  static Text load(Reader& in) {
    Text text(in.count(sizeof(C)), C());
    in.block(text.data(), text.size() * sizeof(C));
    return text;
  }
};

// std::filesystem::path and the like, by what they are rather than by their header.
template <class T>
concept PathLike = requires(const T& path) {
  typename T::string_type;
  { path.native() } -> std::same_as<const typename T::string_type&>;
  T::preferred_separator;
};

template <PathLike T>
struct lane<T> {
  using Text = typename T::string_type;

  using parts = Types<>;
  // All of it: a path takes its text apart when it is made.
  static void save(Writer& out, const T& path) { save_whole(out, path.native()); }
  static T load(Reader& in) { return T(load_whole<Text>(in)); }
};

template <class A, class B>
requires(!Bytes<std::pair<A, B>>) struct lane<std::pair<A, B>> : tuple_size_of<std::remove_const_t<A>, std::remove_const_t<B>> {
  using First = std::remove_const_t<A>;
  using Second = std::remove_const_t<B>;

  using parts = Types<First, Second>;
  static void save(Writer& out, const std::pair<A, B>& pair) {
    codec<First>::save(out, pair.first);
    codec<Second>::save(out, pair.second);
  }
  static void save(Writer&, const std::pair<A, B>&&) = delete;
  static std::pair<A, B> load(Reader& in) {
    First first = codec<First>::load(in);
    return {std::move(first), codec<Second>::load(in)};
  }
};

template <class... T>
requires(!Bytes<std::tuple<T...>>) struct lane<std::tuple<T...>> : tuple_size_of<std::remove_const_t<T>...> {
  using parts = Types<std::remove_const_t<T>...>;
  static void save(Writer& out, const std::tuple<T...>& values) {
    std::apply([&out](const T&... value) { (codec<std::remove_const_t<T>>::save(out, value), ...); }, values);
  }
  static void save(Writer&, const std::tuple<T...>&&) = delete;
  // A braced list evaluates from left to right, which a call's arguments do not.
  static std::tuple<T...> load(Reader& in) { return std::tuple<T...>{codec<std::remove_const_t<T>>::load(in)...}; }
};

template <class T, std::size_t N>
requires(!Bytes<std::array<T, N>>) struct lane<std::array<T, N>> {
  static constexpr bool in_place = std::is_default_constructible_v<T>;

  using parts = Types<T>;
  static void save(Writer& out, const std::array<T, N>& elements) {
    for (const T& element : elements) codec<T>::save(out, element);
  }
  static void save(Writer&, const std::array<T, N>&&) = delete;
  static std::array<T, N> load(Reader& in) {
    if constexpr (in_place) {
      std::array<T, N> elements{};
      read(in, elements);
      return elements;
    } else {
      return [&in]<std::size_t... I>(std::index_sequence<I...>) { return std::array<T, N>{(static_cast<void>(I), codec<T>::load(in))...}; }
      (std::make_index_sequence<N>());
    }
  }
  static void read(Reader& in, std::array<T, N>& elements) requires in_place {
    for (T& element : elements) detail::read(in, element);
  }
};

template <class T>
requires(!Bytes<std::optional<T>>) struct lane<std::optional<T>> {
  using parts = Types<T>;
  static void save(Writer& out, const std::optional<T>& value) {
    out.value(static_cast<std::uint8_t>(value.has_value()));
    if (value) codec<T>::save(out, *value);
  }
  static void save(Writer&, const std::optional<T>&&) = delete;
  static std::optional<T> load(Reader& in) {
    if (in.value<std::uint8_t>() == 0) return std::nullopt;
    return codec<T>::load(in);
  }
};

template <class... T>
requires(!Bytes<std::variant<T...>>) struct lane<std::variant<T...>> {
  using Variant = std::variant<T...>;

  using parts = Types<T...>;
  static void save(Writer& out, const Variant& value) {
    if (value.valueless_by_exception()) throw UsageError("a std::variant without a value cannot be sent");
    out.value(static_cast<std::uint32_t>(value.index()));
    std::visit([&out]<class V>(const V& held) { codec<V>::save(out, held); }, value);
  }
  static void save(Writer&, const Variant&&) = delete;
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

// A pointer to what is not left to Boost, and so need not be made as what it is below its type. What has a lane of its own is not,
// whichever of Boost's headers are included.
template <class T>
concept LeftToBoost = requires {
  lane<std::remove_const_t<T>>::known;
  requires BoostKnows<T>;
};
template <class T>
concept PointedAt = !std::is_array_v<T> && !std::is_polymorphic_v<T> && !LeftToBoost<T>;

template <PointedAt T>
struct lane<std::unique_ptr<T>> {
  using Value = std::remove_const_t<T>;

  using parts = Types<Value>;
  static void save(Writer& out, const std::unique_ptr<T>& value) {
    out.value(static_cast<std::uint8_t>(value != nullptr));
    if (value != nullptr) codec<Value>::save(out, *value);
  }
  static void save(Writer&, const std::unique_ptr<T>&&) = delete;
  static std::unique_ptr<T> load(Reader& in) {
    if (in.value<std::uint8_t>() == 0) return nullptr;
    return std::make_unique<T>(codec<Value>::load(in));
  }
};

// Objects that several pointers within a value share stay shared, and are sent once.
template <PointedAt T>
struct lane<std::shared_ptr<T>> {
  using Value = std::remove_const_t<T>;
  using parts = Types<Value>;
  static constexpr bool tracks = true;

  static void save(Writer& out, const std::shared_ptr<T>& value) {
    const auto [number, fresh] = value == nullptr ? std::pair(0U, false) : out.archive->number_of(value.get(), typeid(Value));
    out.value(number);
    if (fresh) codec<Value>::save(out, *value);
  }
  static void save(Writer&, const std::shared_ptr<T>&&) = delete;
  static std::shared_ptr<T> load(Reader& in) {
    const auto number = in.value<std::uint32_t>();
    if (number == 0) return nullptr;
    InArchive& archive = *in.archive;
    if (!archive.is_next(number)) return std::static_pointer_cast<T>(archive.object(number, typeid(Value)));
    if constexpr (std::is_default_constructible_v<Value>) {
      const auto value = std::make_shared<Value>();  // it may point to itself
      archive.add_object(number, value, typeid(Value));
      read(in, *value);
      return value;
    } else {
      archive.add_object(number, nullptr, typeid(Value));
      const auto value = std::make_shared<Value>(codec<Value>::load(in));
      archive.add_object(number, value, typeid(Value));
      return value;
    }
  }
};

template <PointedAt T>
struct lane<std::weak_ptr<T>> {
  using parts = Types<std::remove_const_t<T>>;
  static constexpr bool tracks = true;

  static void save(Writer& out, const std::weak_ptr<T>& value) {
    const std::shared_ptr<T> shared = value.lock();
    codec<std::shared_ptr<T>>::save(out, shared);
  }
  static std::weak_ptr<T> load(Reader& in) { return codec<std::shared_ptr<T>>::load(in); }
};

template <class T>
struct lane<Reference<T>> {
  using parts = Types<>;
  static void save(Writer& out, const Reference<T>& reference) { out.text(reference.name); }
  static Reference<T> load(Reader& in) { return {std::string(in.text())}; }
};

}  // namespace rankview::detail
