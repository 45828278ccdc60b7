// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/type_name.hpp"

#include <rankview/errors.hpp>
#include <rankview/variables.hpp>

namespace rankview::inline abi_0_1 {

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

std::vector<VariableInfo> Variables::list() const {
  std::vector<VariableInfo> known;
  for (const auto& [name, variable] : variables_)
    known.push_back({name, engine::type_name(*variable.type->type), variable.type->bytes(variable.value.get())});
  return known;
}

std::size_t Variables::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, variable] : variables_) bytes += variable.type->bytes(variable.value.get());
  return bytes;
}

void Variables::put(std::string_view name, const detail::VariableType& type, std::shared_ptr<void> value) {
  Variable variable{&type, std::move(value)};
  if (const auto found = variables_.find(name); found != variables_.end()) {
    found->second = std::move(variable);
  } else {
    variables_.emplace(name, std::move(variable));
  }
}

const Variables::Variable& Variables::raw(std::string_view name) const {
  const auto found = variables_.find(name);
  if (found != variables_.end()) return found->second;
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

void* Variables::at(std::string_view name, const std::type_info& type) const {
  const Variable& variable = raw(name);
  if (*variable.type->type != type)
    throw TypeError("variable \"" + std::string(name) + "\" is a " + engine::type_name(*variable.type->type) + ", not a " +
                    engine::type_name(type));
  return variable.value.get();
}

}  // namespace rankview
