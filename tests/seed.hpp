// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

// What every random test begins with.
namespace test {

// Another seed each time, which is printed, or the one of RANKVIEW_TEST_SEED, with which a failure can be had again.
inline std::uint32_t seed(const char* what) {
  const char* const given = std::getenv("RANKVIEW_TEST_SEED");
  const auto chosen = static_cast<std::uint32_t>(given != nullptr ? std::stoul(given) : std::random_device()());
  std::printf("%s: RANKVIEW_TEST_SEED=%lu\n", what, static_cast<unsigned long>(chosen));
  std::fflush(stdout);
  return chosen;
}

}  // namespace test
