// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "link.hpp"
#include "support.hpp"

// That this program links at all is the first half.
TEST_CASE("two translation units agree on what they share", "[link]") {
  const linked::Seen first = linked::seen_first();
  const linked::Seen second = linked::seen_second();
  CHECK(first.of_function == second.of_function);
  CHECK(first.of_lambda == second.of_lambda);
  CHECK(first.of_function != first.of_lambda);
  CHECK(first.all == second.all);
}
