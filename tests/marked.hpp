// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "catch.hpp"
#include "marks/mark.hpp"

#include <cstddef>
#include <cstdint>

namespace test {

// Stands in a case that is there for a rare branch: the branch has to have been taken when this goes. Without marks it says nothing.
class ComesTo {
 public:
  explicit ComesTo(rankview::marks::Mark mark) : mark_(mark), before_(rankview::marks::hits_of(mark)) {}
  ComesTo(const ComesTo&) = delete;
  ComesTo& operator=(const ComesTo&) = delete;
  ~ComesTo() {
    INFO(rankview::marks::names[static_cast<std::size_t>(mark_)]);
    if (rankview::marks::counted) CHECK(rankview::marks::hits_of(mark_) > before_);
  }

 private:
  rankview::marks::Mark mark_;
  std::uint64_t before_;
};

}  // namespace test
