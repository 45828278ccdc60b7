// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "doctor/finding.hpp"

#include <rankview/client.hpp>

namespace rankview::doctor {

// What engines and their rank 0 do: who is where, how long messages and tasks take, how far their clocks are apart. `pairs`: how fast data
// goes between any two engines, one pair after the other.
Findings examine_ranks(Client& client, bool pairs);

}  // namespace rankview::doctor
