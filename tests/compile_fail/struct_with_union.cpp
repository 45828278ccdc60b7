// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Tagged {
  std::string name;
  union {
    double number;
    int count;
  };
};

void misuse(const rv::EngineView& view) {
  view.apply_sync([](const Tagged& given) { return given.name; }, Tagged());
}
