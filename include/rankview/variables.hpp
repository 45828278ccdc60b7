// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview {

/// The named objects that an engine holds, each of whatever type it was stored with.
///
/// References stay valid until that name is erased or stored with a new value. Not thread-safe.
class Variables {
 public:
  /// Stores `value` under `name`, in place of what was there.
  template <class T>
  std::decay_t<T>& set(std::string_view name, T&& value) {
    return emplace<std::decay_t<T>>(name, std::forward<T>(value));
  }

  /// Makes a `T` from `arguments` under `name`, in place of what was there.
  template <class T, class... A>
  T& emplace(std::string_view name, A&&... arguments) {
    auto made = std::make_shared<T>(std::forward<A>(arguments)...);
    T& value = *made;
    put(name, typeid(T), std::move(made));
    return value;
  }

  /// The variable itself. Throws NameError if there is none of that name, TypeError if it is not a `T`.
  template <class T>
  [[nodiscard]] T& get(std::string_view name) const {
    return *static_cast<T*>(find(name, typeid(T)));
  }

  [[nodiscard]] bool contains(std::string_view name) const { return variables_.find(name) != variables_.end(); }

  /// Whether there was one.
  bool erase(std::string_view name);
  void clear() { variables_.clear(); }

  /// In alphabetical order.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::size_t size() const noexcept { return variables_.size(); }

 private:
  struct Variable {
    const std::type_info* type;
    std::shared_ptr<void> value;
  };

  void put(std::string_view name, const std::type_info& type, std::shared_ptr<void> value);
  [[nodiscard]] void* find(std::string_view name, const std::type_info& type) const;

  std::map<std::string, Variable, std::less<>> variables_;
};

}  // namespace rankview
