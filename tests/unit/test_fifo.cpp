// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/fifo.hpp"
#include "support.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using rankview::scheduler::Fifo;

namespace {

// Shared, so that it is seen when one is kept for too long.
using Element = std::shared_ptr<int>;

void check_equal(const Fifo<Element>& fifo, const std::deque<Element>& model) {
  REQUIRE(fifo.size() == model.size());
  for (std::size_t i = 0; i < model.size(); ++i) CHECK(fifo[i] == model[i]);
  CHECK(std::equal(fifo.begin(), fifo.end(), model.begin(), model.end()));
}

}  // namespace

TEST_CASE("a queue that grows behind and goes in front", "[fifo]") {
  Fifo<int> fifo;
  CHECK(fifo.size() == 0);
  for (int i = 0; i < 100; ++i) fifo.push_back(i);
  for (int i = 0; i < 100; ++i) {
    REQUIRE(fifo.size() == static_cast<std::size_t>(100 - i));
    CHECK(fifo[0] == i);
    fifo.erase(0);
  }
  CHECK(fifo.begin() == fifo.end());
}

TEST_CASE("it is what a deque is, whatever comes and goes where", "[fifo]") {
  std::mt19937_64 random(test::seed("fifo"));
  for (int round = 0; round < 50; ++round) {
    const auto below = [&random](std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random); };
    Fifo<Element> fifo;
    std::deque<Element> model;
    for (int step = 0; step < 300; ++step) {
      const std::size_t what = below(10);
      const auto element = std::make_shared<int>(step);
      if (what < 4) {
        fifo.push_back(element);
        model.push_back(element);
      } else if (what < 6) {
        const std::size_t at = below(model.size() + 1);
        fifo.insert(at, element);
        model.insert(model.begin() + static_cast<std::ptrdiff_t>(at), element);
      } else if (!model.empty()) {
        // Mostly at the front.
        const std::size_t at = what < 9 ? 0 : below(model.size());
        fifo.erase(at);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
      }
      check_equal(fifo, model);
    }
    fifo.clear();
    CHECK(fifo.size() == 0);
  }
}

TEST_CASE("what has gone is not kept", "[fifo]") {
  Fifo<Element> fifo;
  std::vector<std::weak_ptr<int>> seen;
  for (int i = 0; i < 20; ++i) seen.push_back(fifo.push_back(std::make_shared<int>(i)));
  for (std::size_t i = 0; i < 20; ++i) {
    fifo.erase(0);
    CHECK(seen[i].expired());
  }
}
