// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "common.hpp"

struct Name {
  explicit Name(std::string t) : text(std::move(t)) {}
  std::string text;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text;
  }
};

void misuse(const rv::LoadBalancedView& view) {
  view.apply_sync([](const Name& name) { return name.text; }, Name("n"));
}
