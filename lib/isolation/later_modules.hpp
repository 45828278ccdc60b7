// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "wire/modules.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

namespace rankview::isolation {

// Modules that this process has loaded since this was made, which children of a process that was forked then do not have.
class LaterModules {
 public:
  LaterModules() {
    for (const wire::LoadedModule& module : wire::loaded_modules()) known_.insert(module.id);
  }

  const std::vector<wire::LoadedModule>& get() {
    if (const std::uint64_t changes = wire::module_changes(); changes != changes_) {
      changes_ = changes;
      later_ = wire::loaded_modules();
      std::erase_if(later_, [this](const wire::LoadedModule& module) { return known_.contains(module.id); });
    }
    return later_;
  }

 private:
  std::set<std::uint64_t> known_;
  std::uint64_t changes_ = wire::module_changes();
  std::vector<wire::LoadedModule> later_;
};

}  // namespace rankview::isolation
