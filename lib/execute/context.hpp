// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

namespace rankview::execute {

// What a snippet is given when it runs: all that it can ask of the engine. It looks up no symbol of the program, so programs need not
// export any. The prelude has the same for the snippet's side; the two must agree member by member.
struct Context {
  // The variable of that name; throws NameError or TypeError.
  void* (*find)(Context&, const char* name, const std::type_info& type);
  // The same, or null.
  void* (*look)(Context&, const char* name, const std::type_info& type);
  // Stores a variable, in place of what was there.
  void (*put)(Context&, const char* name, const std::type_info& type, std::size_t (*bytes)(const void*), std::shared_ptr<void> value);
  // The snippet has come to its end without a value, or its value is not as large as the program's of that type.
  void (*fail)(Context&, bool wrong_size);
  const std::vector<std::string>* arguments;
  std::size_t result_size;
  int id;
  int size;
  int line;          // of the statement that runs
  const char* file;  // and where that is
};

// The snippet's entry point. `result`: memory for its value.
using Entry = void (*)(Context& context, void* result);
inline constexpr const char* entry_name = "rankview_entry";

}  // namespace rankview::execute
