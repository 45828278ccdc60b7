// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/rankview.hpp>

#include <memory>
#include <string>
#include <vector>

namespace rv = rankview;

inline double twice(double number) { return 2 * number; }
