// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/hub_module.hpp"

#include "isolation/symbols.hpp"

#include <rankview/errors.hpp>

#include <dlfcn.h>
#include <cstdlib>
#include <exception>
#include <vector>

namespace rankview::inline abi_0_1 {
namespace {

constexpr const char* module_name = "rankview-hub-abi_0_1.so";
constexpr const char* opener_name = "rankview_open_hub_abi_0_1";

// Where it may be, the first place first.
std::vector<std::string> module_places() {
  if (const char* const wanted = std::getenv("RANKVIEW_HUB_MODULE"); wanted != nullptr && *wanted != '\0') return {wanted};
  std::vector<std::string> places;
#ifdef RANKVIEW_MODULE_DIR
  places.push_back(std::string(RANKVIEW_MODULE_DIR) + "/" + module_name);
#endif
  places.emplace_back(module_name);
  return places;
}

}  // namespace

std::unique_ptr<hub::TaskDatabase> open_hub(const std::string& path) {
  using Open = hub::TaskDatabase* (*)(const char*, hub::NameOf);
  void* module = nullptr;
  std::string tried;
  for (const std::string& place : module_places()) {
    module = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module != nullptr) break;
    const char* const why = ::dlerror();
    tried += std::string("\n  ") + (why == nullptr ? place : why);
  }
  if (module == nullptr)
    throw UsageError("the hub (Options::hub, RANKVIEW_HUB) needs rankview's module for it, " + std::string(module_name) +
                     ", which is built where SQLiteCpp is; RANKVIEW_HUB_MODULE may name the file:" + tried);
  const auto open = reinterpret_cast<Open>(::dlsym(module, opener_name));
  if (open == nullptr) throw UsageError("the module for the hub is of another version of rankview");
  try {
    return std::unique_ptr<hub::TaskDatabase>(open(path.c_str(), &isolation::linker_name));
  } catch (const std::exception& error) {
    throw UsageError("the hub " + path + " cannot be opened: " + error.what());
  }
}

}  // namespace rankview
