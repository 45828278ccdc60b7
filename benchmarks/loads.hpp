// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <queue>
#include <random>
#include <string>
#include <vector>

// Loads of tasks whose durations differ widely, and how soon they can be over.
namespace bench {

using Durations = std::vector<double>;  // seconds, in the order of submission

// `count` durations of about this mean: "lognormal" (sigma 1.5), "pareto" (exponent 1.5), "exponential" or "constant". None is longer than
// 40 times the mean, so that with 125 tasks or more for each engine it is not one task alone that decides.
inline Durations durations(const std::string& distribution, std::size_t count, double mean, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  const auto one = [&] {
    if (distribution == "lognormal") return std::exp(1.5 * normal(random) - 1.125);
    if (distribution == "pareto") return std::pow(1 - uniform(random), -1 / 1.5) / 3;
    if (distribution == "exponential") return -std::log(1 - uniform(random));
    return 1.0;
  };
  Durations all(count);
  for (double& duration : all) duration = mean * std::min(one(), 40.0);
  return all;
}

inline double total(const Durations& all) { return std::accumulate(all.begin(), all.end(), 0.0); }
inline double longest(const Durations& all) { return all.empty() ? 0 : *std::max_element(all.begin(), all.end()); }

// No schedule is over sooner.
inline double lower_bound(const Durations& all, std::size_t engines) {
  return std::max(longest(all), total(all) / static_cast<double>(engines));
}

// List scheduling at no cost: whoever is free takes the next. The best that one can do who does not know how long tasks take.
inline double list_schedule(const Durations& all, std::size_t engines) {
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at(std::greater<>(), std::vector<double>(engines, 0.0));
  double end = 0;
  for (const double duration : all) {
    const double over = free_at.top() + duration;
    free_at.pop();
    free_at.push(over);
    end = std::max(end, over);
  }
  return end;
}

// What a makespan is measured by: the lower bound where list scheduling reaches it in this order, else what list scheduling guarantees.
struct Bound {
  double seconds;
  const char* name;
};
inline Bound bound_of(const Durations& all, std::size_t engines) {
  const double least = lower_bound(all, engines);
  if (list_schedule(all, engines) <= 1.01 * least) return {least, "max(longest, total/engines)"};
  return {total(all) / static_cast<double>(engines) + longest(all), "total/engines + longest"};
}

// Random durations in random order that list scheduling gets done in the least time, from the first seed that gives such; from seed 1 if
// none of the first few thousand does.
inline Durations reachable(const std::string& distribution, std::size_t count, double mean, std::size_t engines,
                           std::uint64_t seeds = 5000) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Durations all = durations(distribution, count, mean, seed);
    if (list_schedule(all, engines) <= 1.005 * lower_bound(all, engines)) return all;
  }
  return durations(distribution, count, mean, 1);
}

inline Durations worst_first(Durations all) {
  std::sort(all.begin(), all.end(), std::greater<>());
  return all;
}
inline Durations worst_last(Durations all) {
  std::sort(all.begin(), all.end());
  return all;
}
// Behind so many short ones, from which a scheduler learns the wrong thing.
inline Durations hidden(Durations all, std::size_t tiny, double length = 1e-6) {
  all.insert(all.begin(), tiny, length);
  return all;
}

}  // namespace bench
