// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/lanes.hpp>

#include <algorithm>
#include <concepts>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <stack>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

// The standard's containers, element by element but for vectors of what travels as bytes.
namespace rankview::inline abi_0_1::detail {

// How many elements follow. Objects of an empty class, or ones that were sent before, take nothing.
template <class Element>
std::size_t load_count(Reader& in) {
  return shares<Element> ? in.count(1, 4096) : in.count(least_size<Element>);
}

template <class T, class A>
struct lane<std::vector<T, A>> {
  using Vector = std::vector<T, A>;
  using parts = Types<T>;

  static void save(Writer& out, const Vector& elements) {
    out.value(static_cast<std::uint64_t>(elements.size()));
    if constexpr (Bulk<T>) {
      save_side_by_side(out, elements.data(), elements.size());
    } else {
      for (const T& element : elements) codec<T>::save(out, element);
    }
  }
  static void save(Writer&, const Vector&&) = delete;  // what is attached is borrowed
  static Vector load(Reader& in) {
    const std::size_t count = load_count<T>(in);
    if constexpr (Bulk<T>) {
      Vector elements(count);
      in.block(elements.data(), count * sizeof(T));
      return elements;
    } else {
      Vector elements;
      if constexpr (std::is_default_constructible_v<T> && shares<T>) {
        // In place: others may point to an object of a class as soon as it is there.
        elements.resize(count);
        for (T& element : elements) read(in, element);
      } else {
        // No more than the bytes at hand make likely, whatever the count says.
        elements.reserve(std::min(count, 1 + 16 * in.remaining() / sizeof(T)));
        for (std::size_t i = 0; i < count; ++i) elements.push_back(codec<T>::load(in));
      }
      return elements;
    }
  }
};

// Containers that are filled one element after the other, each of which stays where it is.
template <class Container>
struct element_wise {
  using Element = typename Container::value_type;
  using parts = Types<Element>;

  static void save(Writer& out, const Container& elements) {
    out.value(static_cast<std::uint64_t>(std::distance(elements.begin(), elements.end())));
    for (const Element& element : elements) codec<Element>::save(out, element);
  }
  static void save(Writer&, const Container&&) = delete;
  static Container load(Reader& in) {
    const std::size_t count = load_count<Element>(in);
    Container elements;
    auto last = before_first(elements);
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (std::is_default_constructible_v<Element> && shares<Element>) {
        last = add(elements, last);
        read(in, *last);
      } else {
        last = add(elements, last, codec<Element>::load(in));
      }
    }
    return elements;
  }

 private:
  static constexpr bool forward = requires(Container & elements) { elements.before_begin(); };

  static auto before_first(Container& elements) {
    if constexpr (forward) {
      return elements.before_begin();
    } else {
      return elements.end();
    }
  }
  template <class... A>
  static auto add(Container& elements, typename Container::iterator last, A&&... argument) {
    if constexpr (forward) {
      return elements.emplace_after(last, std::forward<A>(argument)...);
    } else {
      elements.emplace_back(std::forward<A>(argument)...);
      return std::prev(elements.end());
    }
  }
};

// std::forward_list, without its header.
template <class T>
concept ForwardList = requires(T& list, typename T::value_type& value) {
  list.emplace_after(list.before_begin(), value);
  list.splice_after(list.before_begin(), list);
};
// std::valarray, likewise.
template <class T>
concept Valarray = requires(T& array, typename T::value_type& value) {
  array.resize(std::size_t{}, value);
  { array.cshift(1) } -> std::same_as<T>;
};

template <class T, class A>
struct lane<std::deque<T, A>> : element_wise<std::deque<T, A>> {};
template <class T, class A>
struct lane<std::list<T, A>> : element_wise<std::list<T, A>> {};
template <ForwardList T>
struct lane<T> : element_wise<T> {};

template <Valarray T>
struct lane<T> {
  using Element = typename T::value_type;
  using parts = Types<Element>;

  static void save(Writer& out, const T& array) {
    out.value(static_cast<std::uint64_t>(array.size()));
    if constexpr (Bulk<Element>) {
      save_side_by_side(out, array.size() == 0 ? nullptr : &array[0], array.size());
    } else {
      for (const Element& element : array) codec<Element>::save(out, element);
    }
  }
  static void save(Writer&, const T&&) = delete;
  static T load(Reader& in) {
    T array;
    array.resize(load_count<Element>(in));
    if constexpr (Bulk<Element>) {
      in.block(array.size() == 0 ? nullptr : &array[0], array.size() * sizeof(Element));
    } else {
      for (Element& element : array) read(in, element);
    }
    return array;
  }
};

// ---- where a key decides ------------------------------------------------------------------------------------------------------

// What orders or hashes the keys of a container: nothing to send but the type, or it goes before the elements.
template <class F>
inline constexpr bool is_implied = std::is_empty_v<F>&& std::is_default_constructible_v<F>;

template <class F>
void save_order(Writer& out, const F& order) {
  if constexpr (!is_implied<F>) save_whole(out, order);
}
template <class F>
F load_order(Reader& in) {
  if constexpr (is_implied<F>) {
    return F();
  } else {
    return load_whole<F>(in);
  }
}

template <class Container>
void save_orders(Writer& out, const Container& container) {
  if constexpr (requires { container.hash_function(); }) {
    save_order(out, container.hash_function());
    save_order(out, container.key_eq());
  } else {
    save_order(out, container.key_comp());
  }
}
template <class Container>
Container with_orders(Reader& in) {
  if constexpr (requires(Container & container) { container.hash_function(); }) {
    auto hash = load_order<typename Container::hasher>(in);
    return Container(0, std::move(hash), load_order<typename Container::key_equal>(in));
  } else {
    return Container(load_order<typename Container::key_compare>(in));
  }
}
template <class... F>
using orders = Types<std::conditional_t<is_implied<F>, bool, F>...>;

template <class... A, class... B>
auto join(Types<A...>, Types<B...>) -> Types<A..., B...>;

// Sets, whose elements are keys.
template <class Set, class... Order>
struct key_wise {
  using Key = typename Set::key_type;
  using parts = decltype(join(Types<Key>(), orders<Order...>()));

  static void save(Writer& out, const Set& keys) {
    save_orders(out, keys);
    out.value(static_cast<std::uint64_t>(keys.size()));
    for (const Key& key : keys) save_whole(out, key);
  }
  static Set load(Reader& in) {
    Set keys = with_orders<Set>(in);
    const std::size_t count = load_count<Key>(in);
    for (std::size_t i = 0; i < count; ++i) keys.insert(keys.end(), load_whole<Key>(in));
    return keys;
  }
};

// Maps, whose value_type has a const key.
template <class Map, class... Order>
struct key_value {
  using Key = typename Map::key_type;
  using Value = typename Map::mapped_type;
  using parts = decltype(join(Types<Key, Value>(), orders<Order...>()));

  static void save(Writer& out, const Map& map) {
    save_orders(out, map);
    out.value(static_cast<std::uint64_t>(map.size()));
    for (const auto& [key, value] : map) {
      save_whole(out, key);
      codec<Value>::save(out, value);
    }
  }
  static void save(Writer&, const Map&&) = delete;
  static Map load(Reader& in) {
    Map map = with_orders<Map>(in);
    const std::size_t count = shares<Key> || shares<Value> ? in.count(1, 4096) : in.count(least_size<Key> + least_size<Value>);
    for (std::size_t i = 0; i < count; ++i) {
      Key key = load_whole<Key>(in);
      if constexpr (std::is_default_constructible_v<Value> && shares<Value>) {
        read(in, map.emplace_hint(map.end(), std::piecewise_construct, std::forward_as_tuple(std::move(key)), std::tuple())->second);
      } else {
        map.emplace_hint(map.end(), std::move(key), codec<Value>::load(in));
      }
      // Something may be on its way into a value that was not taken.
      if (map.size() != i + 1) throw DecodeError("a map that has a key twice");
    }
    return map;
  }
};

template <class K, class C, class A>
struct lane<std::set<K, C, A>> : key_wise<std::set<K, C, A>, C> {};
template <class K, class C, class A>
struct lane<std::multiset<K, C, A>> : key_wise<std::multiset<K, C, A>, C> {};
template <class K, class H, class E, class A>
struct lane<std::unordered_set<K, H, E, A>> : key_wise<std::unordered_set<K, H, E, A>, H, E> {};
template <class K, class H, class E, class A>
struct lane<std::unordered_multiset<K, H, E, A>> : key_wise<std::unordered_multiset<K, H, E, A>, H, E> {};

template <class K, class V, class C, class A>
struct lane<std::map<K, V, C, A>> : key_value<std::map<K, V, C, A>, C> {};
template <class K, class V, class C, class A>
struct lane<std::multimap<K, V, C, A>> : key_value<std::multimap<K, V, C, A>, C> {};
template <class K, class V, class H, class E, class A>
struct lane<std::unordered_map<K, V, H, E, A>> : key_value<std::unordered_map<K, V, H, E, A>, H, E> {};
template <class K, class V, class H, class E, class A>
struct lane<std::unordered_multimap<K, V, H, E, A>> : key_value<std::unordered_multimap<K, V, H, E, A>, H, E> {};

// ---- adaptors -----------------------------------------------------------------------------------------------------------------

// What an adaptor keeps to itself, for those that derive from it.
template <class Adaptor>
struct Inside : Adaptor {
  static const auto& container(const Adaptor& adaptor) { return adaptor.*&Inside::c; }
  static const auto& order(const Adaptor& adaptor) { return adaptor.*&Inside::comp; }
};

template <class Adaptor>
struct adapted {
  using Container = typename Adaptor::container_type;
  using parts = Types<Container>;
  static void save(Writer& out, const Adaptor& adaptor) { codec<Container>::save(out, Inside<Adaptor>::container(adaptor)); }
  static void save(Writer&, const Adaptor&&) = delete;
  static Adaptor load(Reader& in) { return Adaptor(codec<Container>::load(in)); }
};

template <class T, class C>
struct lane<std::stack<T, C>> : adapted<std::stack<T, C>> {};
template <class T, class C>
struct lane<std::queue<T, C>> : adapted<std::queue<T, C>> {};
// It compares its elements when it is made, so that all of them must be there.
template <class T, class C, class Less>
struct lane<std::priority_queue<T, C, Less>> {
  using Queue = std::priority_queue<T, C, Less>;
  using parts = decltype(join(Types<C>(), orders<Less>()));
  static void save(Writer& out, const Queue& queue) {
    save_order(out, Inside<Queue>::order(queue));
    save_whole(out, Inside<Queue>::container(queue));
  }
  static Queue load(Reader& in) {
    const auto less = load_order<Less>(in);
    return Queue(less, load_whole<C>(in));
  }
};

}  // namespace rankview::detail
