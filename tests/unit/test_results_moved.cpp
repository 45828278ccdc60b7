// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/detail/results.hpp>

#include <memory>
#include <vector>

using rankview::detail::Results;

TEST_CASE("results that can only be moved", "[results]") {
  Results<std::unique_ptr<int>> results;
  std::vector<std::unique_ptr<int>> values;
  values.push_back(std::make_unique<int>(1));
  values.push_back(nullptr);
  results.multiple = true;
  results.grow(values.size(), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    unit::Writer out;
    unit::codec<std::unique_ptr<int>>::save(out, values[i]);
    unit::Reader in(out.bytes.bytes());
    results.load(i, in);
  }
  CHECK(*results.at(0) == 1);
  CHECK(results.all().size() == 2);
  const auto taken = results.take(0);
  CHECK(*taken == 1);
  CHECK(results.take_all().at(1) == nullptr);
}
