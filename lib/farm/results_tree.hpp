// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/template.hpp"
#include "isolation/fd.hpp"

#include <cstdint>
#include <string>

namespace rankview::farm {

// Where --results keeps what a command with these arguments writes: root/1/first argument/2/second one, as GNU parallel has it.
std::string results_directory(const std::string& root, const Arguments& arguments);

struct OpenResults {
  isolation::Fd out;
  isolation::Fd err;
};
// Makes the directory, and in it stdout, stderr, and seq, which has the number. Throws std::system_error that names what cannot be made.
OpenResults open_results(const std::string& directory, std::uint64_t number);

}  // namespace rankview::farm
