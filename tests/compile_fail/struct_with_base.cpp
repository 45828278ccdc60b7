// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Base {
  std::string name;
};
struct Derived : Base {
  int number;
};

void misuse(const rv::EngineView& view) {
  view.apply_sync([] { return Derived{{"a"}, 1}; });
}
