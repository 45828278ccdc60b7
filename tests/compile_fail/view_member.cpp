// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Label {
  std::string_view text;
  std::vector<int> places;
};

void misuse(const rv::LoadBalancedView& view, const std::vector<Label>& labels) {
  view.apply_sync([](const std::vector<Label>& given) { return given.size(); }, labels);
}
