// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/callable.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace rankview::inline abi_0_1 {

namespace detail {

struct NotGiven;

// What is known of a key function by its type: it reads the arguments of a task as they were encoded, and encodes what it gives.
class ErasedKey {
 public:
  ErasedKey() = default;
  ErasedKey(const ErasedKey&) = delete;
  ErasedKey& operator=(const ErasedKey&) = delete;
  virtual ~ErasedKey() = default;

  // `fetch`: puts in place what lies beside the arguments, and was claimed.
  virtual void write(Reader& arguments, const std::function<void()>& fetch, Writer& to) const = 0;
  // Of the arguments as they travel, as in void(int, std::string).
  [[nodiscard]] virtual const std::type_info& parameters() const = 0;
  [[nodiscard]] virtual const std::type_info& result() const = 0;
};

template <class K>
inline constexpr bool has_known_parameters = parameters_of<K>::known;

// What a task's arguments look like to a key function.
template <class P>
struct KeyParameters;
template <class... P>
struct KeyParameters<Parameters<P...>> {
  using Sig = Parameters<std::pair<owner_t<P>, P>...>;
  using Travelling = void(owner_t<P>...);
  template <class K>
  using Result = std::invoke_result<const K&, typename Seen<owner_t<P>, P>::type...>;
  template <class K>
  static constexpr bool callable = std::is_invocable_v<const K&, typename Seen<owner_t<P>, P>::type...>;
};

template <class K>
class TypedKey final : public ErasedKey {
  using Known = KeyParameters<typename parameters_of<K>::type>;
  using Result = result_owner_t<typename Known::template Result<K>::type>;

 public:
  explicit TypedKey(K function) : function_(std::move(function)) {}

  void write(Reader& arguments, const std::function<void()>& fetch, Writer& to) const override {
    decode(typename Known::Sig(), arguments, fetch, to);
  }
  [[nodiscard]] const std::type_info& parameters() const override { return typeid(typename Known::Travelling); }
  [[nodiscard]] const std::type_info& result() const override { return typeid(Result); }

 private:
  template <class... Ready>
  void decode(Parameters<>, Reader&, const std::function<void()>& fetch, Writer& to, Ready&&... ready) const {
    fetch();
    const Result key(std::invoke(function_, std::forward<Ready>(ready)...));
    codec<Result>::save(to, key);
  }
  template <class W, class P, class... Rest, class... Ready>
  void decode(Parameters<std::pair<W, P>, Rest...>, Reader& arguments, const std::function<void()>& fetch, Writer& to,
              Ready&&... ready) const {
    Decoded<W> value(arguments);
    decode(Parameters<Rest...>(), arguments, fetch, to, std::forward<Ready>(ready)..., Seen<W, P>::see(*value));
  }

  K function_;
};

}  // namespace detail

/// What identifies a task in a checkpoint: a function of all of its arguments, for Flags::key. A function, or a lambda or function object
/// with one call operator and parameters of known types; these are the types of the task's own parameters, by value or const reference. It
/// gives anything that can be sent to an engine, a number or a std::string, say. Copies share one function.
class KeyFunction {
 public:
  KeyFunction() = default;
  template <class K>
  requires(std::is_pointer_v<K>&& std::is_function_v<std::remove_pointer_t<K>>) KeyFunction(K key) {
    if (key != nullptr) set(key);
  }
  template <class K>
  requires(std::is_class_v<K>&& detail::has_known_parameters<K>) KeyFunction(K key) { set(std::move(key)); }
  // A class with another call operator than that; a Flag is none.
  template <class K>
  requires(std::is_class_v<K> && !detail::has_known_parameters<K> && !std::is_same_v<K, KeyFunction> &&
           !std::is_same_v<K, detail::NotGiven> && !requires(const K& k) { k.given(); }) KeyFunction(K) {
    static_assert(!std::is_same_v<K, K>,
                  "rankview: Flags::key is a function of a task's arguments, with one call operator and parameters whose types are "
                  "written out: [](const Point& p, double x) { return p.name; }");
  }

  explicit operator bool() const noexcept { return function_ != nullptr; }
  [[nodiscard]] const detail::ErasedKey& function() const noexcept { return *function_; }

 private:
  template <class K>
  void set(K key) {
    using Known = detail::KeyParameters<typename detail::parameters_of<K>::type>;
    if constexpr (!Known::template callable<K>) {
      static_assert(!std::is_same_v<K, K>,
                    "rankview: Flags::key looks at a task's arguments: it takes them by value or by const reference");
    } else if constexpr (std::is_void_v<typename Known::template Result<K>::type>) {
      static_assert(!std::is_same_v<K, K>, "rankview: Flags::key returns what identifies a task, a number or a std::string, say");
    } else {
      function_ = std::make_shared<const detail::TypedKey<K>>(std::move(key));
    }
  }

  std::shared_ptr<const detail::ErasedKey> function_;
};

}  // namespace rankview
