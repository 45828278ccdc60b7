// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/codec.hpp>
#include <rankview/detail/memory.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {

/// What is known of an engine's variable without looking at its value.
struct VariableInfo {
  std::string name;
  std::string type;       ///< as written in C++
  std::size_t bytes = 0;  ///< what it takes, with what its containers hold

  // A variable goes by its name.
  operator const std::string&() const noexcept { return name; }
  friend bool operator==(const VariableInfo& variable, std::string_view wanted) { return variable.name == wanted; }
  friend bool operator==(const VariableInfo&, const VariableInfo&) = default;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name& type& bytes;
  }
};

/// Whether these are the variables of these names.
inline bool operator==(const std::vector<VariableInfo>& variables, const std::vector<std::string>& names) {
  return std::equal(variables.begin(), variables.end(), names.begin(), names.end(),
                    [](const VariableInfo& variable, const std::string& name) { return variable.name == name; });
}

namespace detail {

// What can be done with a variable whose type is only known where it was stored.
struct VariableType {
  const std::type_info* type;
  std::size_t (*bytes)(const void*);
  void (*save)(Writer&, const void*);      // null where the type cannot be sent
  std::shared_ptr<void> (*load)(Reader&);  // likewise
};

template <class T>
std::size_t variable_bytes(const void* value) {
  return memory_of(*static_cast<const T*>(value));
}
template <class T>
void save_variable(Writer& out, const void* value) {
  codec<T>::save(out, *static_cast<const T*>(value));
}
template <class T>
std::shared_ptr<void> load_variable(Reader& in) {
  return load_shared<T>(in);
}

template <class T>
consteval VariableType describe() {
  if constexpr (sendable<T> && std::is_move_constructible_v<T>) {
    return {&typeid(T), &variable_bytes<T>, &save_variable<T>, &load_variable<T>};
  } else {
    return {&typeid(T), &variable_bytes<T>, nullptr, nullptr};
  }
}
template <class T>
inline constexpr VariableType variable_type = describe<T>();

}  // namespace detail

/// The named objects that an engine holds, each of whatever type it was stored with.
///
/// References stay valid until that name is erased or stored with a new value; scatter(), push() and their like write into a vector that
/// has the right size already. Not thread-safe.
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
    put(name, detail::variable_type<T>, std::move(made));
    return value;
  }

  /// The variable itself. Throws NameError if there is none of that name, TypeError if it is not a `T`.
  template <class T>
  [[nodiscard]] T& get(std::string_view name) const {
    return *static_cast<T*>(at(name, typeid(T)));
  }

  /// The variable, or null if there is none of that name or it is not a `T`.
  template <class T>
  [[nodiscard]] T* find(std::string_view name) const {
    const auto found = variables_.find(name);
    const bool is = found != variables_.end() && *found->second.type->type == typeid(T);
    return is ? static_cast<T*>(found->second.value.get()) : nullptr;
  }

  [[nodiscard]] bool contains(std::string_view name) const { return variables_.find(name) != variables_.end(); }

  /// Whether there was one.
  bool erase(std::string_view name);
  void clear() { variables_.clear(); }

  /// In alphabetical order.
  [[nodiscard]] std::vector<std::string> names() const;
  /// The same, with types and sizes. Containers of containers are walked to add up their sizes.
  [[nodiscard]] std::vector<VariableInfo> list() const;
  /// What all of them take.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t size() const noexcept { return variables_.size(); }

  // For moving a variable whose type the mover does not know.
  struct Variable {
    const detail::VariableType* type;
    std::shared_ptr<void> value;
  };
  // Throws NameError.
  [[nodiscard]] const Variable& raw(std::string_view name) const;
  void put(std::string_view name, const detail::VariableType& type, std::shared_ptr<void> value);

 private:
  [[nodiscard]] void* at(std::string_view name, const std::type_info& type) const;

  std::map<std::string, Variable, std::less<>> variables_;
};

}  // namespace rankview
