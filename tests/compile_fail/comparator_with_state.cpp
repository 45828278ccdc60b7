// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <functional>
#include <set>

void misuse(const rv::EngineView& view, const std::set<int, std::function<bool(int, int)>>& set) {
  view.apply_sync([](const std::set<int, std::function<bool(int, int)>>& given) { return given.size(); }, set);
}
