// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/type_name.hpp"

#include <rankview/errors.hpp>
#include <rankview/variables.hpp>

namespace rankview {

bool Variables::erase(std::string_view name) {
  const auto found = variables_.find(name);
  if (found == variables_.end()) return false;
  variables_.erase(found);
  return true;
}

std::vector<std::string> Variables::names() const {
  std::vector<std::string> names;
  names.reserve(variables_.size());
  for (const auto& [name, variable] : variables_) names.push_back(name);
  return names;
}

void Variables::put(std::string_view name, const std::type_info& type, std::shared_ptr<void> value) {
  Variable variable{&type, std::move(value)};
  if (const auto found = variables_.find(name); found != variables_.end()) {
    found->second = std::move(variable);
  } else {
    variables_.emplace(name, std::move(variable));
  }
}

void* Variables::find(std::string_view name, const std::type_info& type) const {
  const auto found = variables_.find(name);
  if (found == variables_.end()) {
    std::string known;
    for (const auto& entry : variables_) {
      if (known.size() > 200) {
        known += ", ...";
        break;
      }
      known += (known.empty() ? "" : ", ") + entry.first;
    }
    throw NameError("no variable \"" + std::string(name) + "\" on this engine, which has " + (known.empty() ? "none" : known));
  }
  const Variable& variable = found->second;
  if (*variable.type != type)
    throw TypeError("variable \"" + std::string(name) + "\" is a " + engine::type_name(*variable.type) + ", not a " +
                    engine::type_name(type));
  return variable.value.get();
}

}  // namespace rankview
