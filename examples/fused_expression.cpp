// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// c = a^2 + b^2 + 2ab on scattered arrays, in one pass: a lambda gets all three by reference, so that no array is made for a term, and what
// the engines hold afterwards are a, b and c alone.
//
// Run:    mpirun -np 5 ./fused_expression
//
// Output, where what stands in <> differs from run to run:
//   a^2 + b^2 + 2ab of 1000000 elements on <4> engines is (a + b)^2
//   the engines hold 3 arrays:
//      8.0 MB  a, a std::vector<double>
//      8.0 MB  b, a std::vector<double>
//      8.0 MB  c, a std::vector<double>

#include <rankview/rankview.hpp>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace rv = rankview;

using Array = std::vector<double>;

Array random_array(std::size_t n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> between(-1, 1);
  Array array(n);
  for (double& x : array) x = between(random);
  return array;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    const Array left = random_array(1'000'000, 1);
    const Array right = random_array(1'000'000, 2);
    all.scatter_sync("a", left);
    all.scatter_sync("b", right);
    all.apply_sync([](const Array& a) { rv::this_engine::vars().emplace<Array>("c", a.size()); }, rv::ref("a"));

    all.apply_sync(
        [](const Array& a, const Array& b, Array& c) {
          for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] * a[i] + b[i] * b[i] + 2 * a[i] * b[i];
        },
        rv::ref("a"), rv::ref("b"), rv::ref("c"));

    // The terms are rounded otherwise than the sum is, so there may be a difference in the last digits.
    const Array squares = all.gather_sync<double>("c");
    for (std::size_t i = 0; i < left.size(); ++i)
      if (std::abs(squares.at(i) - (left[i] + right[i]) * (left[i] + right[i])) > 1e-14)
        throw std::runtime_error("element " + std::to_string(i) + " is not (a + b)^2");
    std::printf("a^2 + b^2 + 2ab of %zu elements on %zu engines is (a + b)^2\n", squares.size(), all.size());

    std::map<std::string, std::size_t> held;
    for (const std::vector<rv::VariableInfo>& variables : all.names_sync())
      for (const auto& [name, type, bytes] : variables) held[name + ", a " + type] += bytes;
    std::printf("the engines hold %zu arrays:\n", held.size());
    for (const auto& [what, bytes] : held) std::printf("%6.1f MB  %s\n", static_cast<double>(bytes) / 1e6, what.c_str());
  });
}
