// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// The executable and the shared libraries of this process; see detail/code_address.hpp.
namespace rankview::wire {

struct LoadedModule {
  std::uint64_t id = 0;  // as in a CodeAddress
  std::string path;      // of its file, empty for the executable
};

// All that are loaded, in the order in which they were. Cost: reads what is mapped of those without a build-id.
std::vector<LoadedModule> loaded_modules();
// Changes whenever one is loaded or unloaded. Cost: a lock of the loader's.
std::uint64_t module_changes();

// Modules that local_address() is to open when something of theirs is wanted and they are not there.
void set_openable_modules(std::vector<LoadedModule> modules);

}  // namespace rankview::wire
