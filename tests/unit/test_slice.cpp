// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>
#include <rankview/targets.hpp>

#include <limits>
#include <numeric>
#include <optional>
#include <vector>

using rankview::slice;

namespace {

using Place = std::optional<int>;

struct Row {
  int count;
  Place start;
  Place stop;
  int step;
  std::vector<int> expected;
};

// list(range(count))[start:stop:step], as Python 3 answers.
const std::vector<Row> python{
    {5, 1, 8, 2, {1, 3}},
    {5, {}, 3, 1, {0, 1, 2}},
    {5, {}, {}, -1, {4, 3, 2, 1, 0}},
    {5, -2, {}, 1, {3, 4}},
    {5, {}, -1, 1, {0, 1, 2, 3}},
    {0, {}, {}, 1, {}},
    {0, {}, {}, -1, {}},
    {5, 4, 1, -1, {4, 3, 2}},
    {5, 1, 4, -1, {}},
    {5, 10, {}, -2, {4, 2, 0}},
    {5, -10, 10, 3, {0, 3}},
    {5, 0, 0, 1, {}},
    {1, {}, {}, 7, {0}},
    {1, -1, {}, -7, {0}},
    {5, 3, -10, -2, {3, 1}},
    {5, -100, -50, 1, {}},
    {5, 50, 100, 1, {}},
    {2, 7, 6, 3, {}},
    {4, 8, 4, 2, {}},
    {7, {}, 4, -2, {6}},
    {7, -4, -5, -8, {3}},
    {7, 6, 4, 8, {}},
    {2, -4, 9, 3, {0}},
    {7, 1, {}, 2, {1, 3, 5}},
    {2, 7, {}, -2, {1}},
    {1, -3, 4, 8, {0}},
    {5, 1, 7, -8, {}},
    {2, 0, -8, 1, {}},
    {2, 4, -5, -2, {1}},
    {5, 9, -2, 8, {}},
    {7, 1, 7, -3, {}},
    {7, 7, 2, -1, {6, 5, 4, 3}},
    {4, {}, -3, 3, {0}},
    {4, 6, 7, 2, {}},
    {2, 9, 7, -2, {}},
    {4, -8, -9, -8, {}},
    {5, -9, 0, 2, {}},
    {5, -7, {}, -2, {}},
    {5, 2, -8, 1, {}},
    {7, 8, {}, 8, {}},
    {7, -1, 6, -2, {}},
    {7, -4, {}, -2, {3, 1}},
    {1, -9, -8, 1, {}},
    {2, 2, -2, -2, {1}},
    {2, {}, -1, -3, {}},
    {4, -7, 1, 8, {0}},
    {5, 5, 1, 2, {}},
    {7, 5, -3, 8, {}},
    {2, -2, 2, -2, {}},
    {7, -2, 6, -3, {}},
    {1, 2, 7, -3, {}},
    {1, 1, 8, 3, {}},
    {1, 9, 9, -3, {}},
    {5, 0, 0, -2, {}},
    {5, {}, 7, 1, {0, 1, 2, 3, 4}},
    {1, 0, -3, -8, {0}},
    {4, 7, 8, -3, {}},
    {2, 0, -6, -3, {0}},
    {4, 8, -3, -2, {3}},
    {5, -8, {}, 3, {0, 3}},
    {4, 5, -4, -2, {3, 1}},
    {2, -1, -6, 8, {}},
    {1, -8, 8, -3, {}},
    {4, -4, 3, 3, {0}},
    {1, -1, 9, -1, {}},
    {7, 3, -3, -1, {}},
    {1, {}, 5, -1, {}},
    {4, 7, -6, -2, {3, 1}},
    {4, 9, -9, -3, {3, 0}},
    {7, -7, 2, -2, {}},
};

std::vector<int> first(int count) {
  std::vector<int> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

}  // namespace

TEST_CASE("slices are Python's", "[slice]") {
  for (const Row& row : python) {
    CAPTURE(row.count, row.start.value_or(99), row.stop.value_or(99), row.step);
    CHECK(slice(row.start, row.stop, row.step).of(first(row.count)) == row.expected);
  }
}

TEST_CASE("a slice chooses among ids, whatever they are", "[slice]") {
  CHECK(slice(1, {}, 2).of({10, 20, 30, 40}) == std::vector<int>{20, 40});
  CHECK(slice(-1, {}).of({10, 20, 30, 40}) == std::vector<int>{40});
  CHECK(slice(2).of({10, 20, 30, 40}) == std::vector<int>{10, 20});
  CHECK(slice({}, {}).of({}).empty());
}

TEST_CASE("a step of zero is a usage error", "[slice]") { CHECK_THROWS_AS(slice(0, 3, 0).of({1, 2, 3}), rankview::UsageError); }

TEST_CASE("slices with the largest numbers there are", "[slice]") {
  constexpr int most = std::numeric_limits<int>::max();
  constexpr int least = std::numeric_limits<int>::min();
  CHECK(slice(least, most).of(first(3)) == first(3));
  CHECK(slice(most, least, -1).of(first(3)) == std::vector<int>{2, 1, 0});
  CHECK(slice({}, {}, most).of(first(3)) == std::vector<int>{0});
  CHECK(slice(1, {}, most).of(first(3)) == std::vector<int>{1});
  CHECK(slice({}, {}, least).of(first(3)) == std::vector<int>{2});
}
