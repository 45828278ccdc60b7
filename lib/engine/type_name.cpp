// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/type_name.hpp"

#include <cxxabi.h>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

namespace rankview::engine {

std::string type_name(const std::type_info& type) { return type_name(type.name()); }

std::string type_name(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  if (status != 0 || text == nullptr) return mangled;
  return without_defaults(text.get());
}

std::string without_defaults(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> shorter[] = {
      {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
      {"std::__cxx11::", "std::"},
      {"rankview::abi_0_1::", "rankview::"},
  };
  for (const auto& [from, to] : shorter) {
    for (std::size_t at = name.find(from); at != std::string::npos; at = name.find(from, at + to.size())) name.replace(at, from.size(), to);
  }
  for (std::size_t at = name.find(", std::allocator<"); at != std::string::npos; at = name.find(", std::allocator<", at)) {
    std::size_t end = at + 17;
    for (int depth = 1; depth > 0 && end < name.size(); ++end) depth += name[end] == '<' ? 1 : name[end] == '>' ? -1 : 0;
    name.erase(at, end - at);
    if (at < name.size() && name[at] == ' ') name.erase(at, 1);
  }
  return name;
}

}  // namespace rankview::engine
