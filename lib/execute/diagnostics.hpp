// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/errors.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace rankview::execute {

// The errors in what GCC or clang has said of a program; see program.hpp. Those in headers, and in what was written here, are told of the
// line of the code that has led to them. Pure.
std::vector<CompileError::Message> errors_in(std::string_view said, std::string_view file);

}  // namespace rankview::execute
