// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <typeinfo>

namespace rankview::engine {

// A type as written in C++.
std::string type_name(const std::type_info& type);
// The same for what std::type_info::name() gives.
std::string type_name(const char* mangled);
// A name that has been demangled, without what nobody writes out.
std::string without_defaults(std::string name);

}  // namespace rankview::engine
