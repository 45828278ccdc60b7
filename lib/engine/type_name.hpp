// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <typeinfo>

namespace rankview::engine {

// A type as written in C++.
std::string type_name(const std::type_info& type);

}  // namespace rankview::engine
