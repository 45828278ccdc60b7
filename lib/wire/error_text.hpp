// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace rankview::wire {

// what(), or a sentence where that gives a null pointer.
std::string error_text(const std::exception& error);
// The same of an exception that is not null, whatever it is.
std::string error_text(const std::exception_ptr& error);

// How earlier attempts at a task failed, a line each.
std::string listed(const std::vector<std::string>& earlier);

}  // namespace rankview::wire
