// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

#include <mutex>

struct Counter {
  std::string name;
  std::shared_ptr<std::mutex> mutex;
};

void misuse(const rv::EngineView& view, const Counter& counter) {
  view.apply_sync([](const Counter& given) { return given.name; }, counter);
}
