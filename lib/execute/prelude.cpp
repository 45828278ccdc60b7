// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/prelude.hpp"

#include <array>
#include <string_view>

namespace rankview::execute {
namespace {

// By name: what makes one header of all sources would take a line that includes one for its own.
constexpr std::array<std::string_view, 47> standard_headers{
    "algorithm", "array",    "bitset",        "chrono",        "cmath",      "complex", "cstdint",     "cstdio",   "cstdlib", "cstring",
    "ctime",     "deque",    "exception",     "fstream",       "functional", "iomanip", "iostream",    "iterator", "limits",  "list",
    "map",       "memory",   "mutex",         "new",           "numbers",    "numeric", "optional",    "queue",    "random",  "ranges",
    "set",       "span",     "sstream",       "stack",         "stdexcept",  "string",  "string_view", "thread",   "tuple",   "type_traits",
    "typeinfo",  "unistd.h", "unordered_map", "unordered_set", "utility",    "variant", "vector"};

// Members of Context as in context.hpp.
constexpr std::string_view rest_of_prelude = R"prelude(
namespace rankview_snippet {

template <class T>
std::size_t bytes_of(const void* value) {
  std::size_t bytes = sizeof(T);
  if constexpr (requires(const T& v) { v.capacity() * sizeof(typename T::value_type); })
    bytes += static_cast<const T*>(value)->capacity() * sizeof(typename T::value_type);
  return bytes;
}

struct Context {
  void* (*find)(Context&, const char* name, const std::type_info& type);
  void* (*look)(Context&, const char* name, const std::type_info& type);
  void (*put)(Context&, const char* name, const std::type_info& type, std::size_t (*bytes)(const void*), std::shared_ptr<void> value);
  void (*fail)(Context&, bool wrong_size);
  const std::vector<std::string>* arguments;
  std::size_t result_size;
  int id;
  int size;
  int line;
  const char* file;

  template <class T>
  T& get(const char* name) {
    return *static_cast<T*>(find(*this, name, typeid(T)));
  }
  template <class T>
  T& assign(const char* name, T&& value) {
    if constexpr (std::is_move_assignable_v<T>) {
      if (void* const there = look(*this, name, typeid(T))) {
        T& old = *static_cast<T*>(there);
        old = std::move(value);
        return old;
      }
    }
    auto made = std::make_shared<T>(std::move(value));
    T& fresh = *made;
    put(*this, name, typeid(T), &bytes_of<T>, std::move(made));
    return fresh;
  }
};

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t n>
inline constexpr bool is_span<std::span<T, n>> = true;

// A value as a variable keeps it: it owns its data, and a lambda without captures has a type that can be written.
template <class V>
auto kept(V&& value) {
  using T = std::decay_t<V>;
  if constexpr (std::is_same_v<T, const char*> || std::is_same_v<T, char*> || std::is_same_v<T, std::string_view>) {
    return std::string(value);
  } else if constexpr (is_span<T>) {
    return std::vector<std::remove_cv_t<typename T::element_type>>(value.begin(), value.end());
  } else if constexpr (std::is_class_v<T> && requires { +value; }) {
    if constexpr (std::is_function_v<std::remove_pointer_t<decltype(+value)>>) {
      return +value;
    } else {
      return T(std::forward<V>(value));
    }
  } else {
    return T(std::forward<V>(value));
  }
}

template <class T>
using same = T;

// A whole program.
template <class R>
R call_main(R (*main)(), const std::vector<std::string>&, const char*) {
  return main();
}
template <class R, class C>
R call_main(R (*main)(int, C), const std::vector<std::string>& arguments, const char* file) {
  std::vector<std::string> words{file};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return main(static_cast<int>(words.size()), pointers.data());
}
inline void expect_zero(int code) {
  if (code != 0) throw std::runtime_error("main() returned " + std::to_string(code));
}

}  // namespace rankview_snippet
)prelude";

}  // namespace

std::string prelude() {
  std::string text;
  for (const std::string_view header : standard_headers) text += "#include <" + std::string(header) + ">\n";
  return text + std::string(rest_of_prelude);
}

}  // namespace rankview::execute
