// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <string>
#include <string_view>

namespace rankview::farm {

// The text as one word of a shell's command line, quoted as GNU parallel quotes what it puts in the place of {}.
std::string shell_quoted(std::string_view text);

}  // namespace rankview::farm
