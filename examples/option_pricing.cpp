// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// Prices of European options by Monte Carlo, a task for each pair of strike and volatility, and beside each price the exact one of Black
// and Scholes and the standard error. Each task has a random stream of its own, seeded with its number, so the prices have the same digits
// on any number of engines.
//
// Run:    mpirun -np 5 ./option_pricing
//
// Output:
//   strike  sigma     call    exact  error      put    exact  error
//       80    0.1   23.920   23.910  0.045    0.007    0.008  0.001
//       80    0.2   24.686   24.589  0.086    0.680    0.687  0.012
//       80    0.4   28.803   28.976  0.165    5.145    5.075  0.044
//       90    0.1   14.617   14.629  0.043    0.242    0.239  0.005
//       90    0.2   16.743   16.699  0.078    2.294    2.310  0.024
//       90    0.4   22.945   22.985  0.153    8.650    8.595  0.060
//      100    0.1    6.789    6.805  0.035    1.920    1.928  0.017
//      100    0.2   10.325   10.451  0.065    5.619    5.574  0.039
//      100    0.4   18.136   18.023  0.142   13.264   13.146  0.075
//      110    0.1    2.169    2.174  0.021    6.835    6.809  0.031
//      110    0.2    6.013    6.040  0.051   10.716   10.675  0.054
//      110    0.4   14.026   14.004  0.126   18.588   18.639  0.091
//      120    0.1    0.470    0.462  0.009   14.586   14.610  0.041
//      120    0.2    3.212    3.247  0.039   17.509   17.395  0.066
//      120    0.4   10.721   10.806  0.114   25.099   24.954  0.105

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <ranges>
#include <stdexcept>
#include <vector>

namespace rv = rankview;

constexpr double spot = 100;     // the share's price today
constexpr double rate = 0.05;    // of interest without risk, a year
constexpr double years = 1;      // until the options expire
constexpr int samples = 50'000;  // of each task

struct Option {
  double strike;
  double sigma;  // volatility
};

// Of samples that are added one by one.
struct Estimate {
  double sum = 0;
  double squares = 0;

  void add(double sample) {
    sum += sample;
    squares += sample * sample;
  }
  [[nodiscard]] double mean() const { return sum / samples; }
  [[nodiscard]] double standard_error() const { return std::sqrt((squares / samples - mean() * mean()) / (samples - 1)); }
};

template <class T>
struct Prices {
  T call{};
  T put{};
};

// The payoffs at random final prices of the share, discounted.
Prices<Estimate> sample(const Option& option, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const double drift = (rate - option.sigma * option.sigma / 2) * years;
  const double discount = std::exp(-rate * years);

  Prices<Estimate> prices;
  for (int i = 0; i < samples; ++i) {
    const double gain = spot * std::exp(drift + option.sigma * std::sqrt(years) * normal(random)) - option.strike;
    prices.call.add(discount * std::max(gain, 0.0));
    prices.put.add(discount * std::max(-gain, 0.0));
  }
  return prices;
}

// What Black and Scholes found for infinitely many samples.
Prices<double> exact(const Option& option) {
  const auto below = [](double x) { return std::erfc(-x / std::sqrt(2)) / 2; };  // the share of normal deviates
  const double spread = option.sigma * std::sqrt(years);
  const double d = std::log(spot / option.strike) / spread + rate * years / spread + spread / 2;
  const double discounted = option.strike * std::exp(-rate * years);
  return {.call = spot * below(d) - discounted * below(d - spread), .put = discounted * below(spread - d) - spot * below(-d)};
}

// Prints both prices; they must not differ by more than chance makes likely.
void compare(const Estimate& estimate, double price) {
  std::printf("  %7.3f  %7.3f  %5.3f", estimate.mean(), price, estimate.standard_error());
  if (std::abs(estimate.mean() - price) > 4 * estimate.standard_error())
    throw std::runtime_error("the last price in the table is more than 4 standard errors off the exact one");
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    std::vector<Option> options;
    for (const double strike : {80, 90, 100, 110, 120})
      for (const double sigma : {0.1, 0.2, 0.4}) options.push_back({.strike = strike, .sigma = sigma});
    const auto prices = rc.load_balanced_view().map(sample, options, std::views::iota(0));

    std::printf("strike  sigma     call    exact  error      put    exact  error\n");
    for (auto option = options.begin(); const Prices<Estimate>& sampled : prices) {
      std::printf("%6.0f  %5.1f", option->strike, option->sigma);
      const auto [call, put] = exact(*option++);
      compare(sampled.call, call);
      compare(sampled.put, put);
      std::printf("\n");
    }
  });
}
