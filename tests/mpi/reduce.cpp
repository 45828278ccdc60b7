// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <complex>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using test::client;
using test::everyone;

namespace {

std::string concatenate(const std::string& a, const std::string& b) { return a + b; }

struct Scaled {  // an operation with state
  double by = 1;
  double operator()(double a, double b) const { return a + by * b; }
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& by;
  }
};

template <class T>
void check_number() {
  const auto q = client().size();
  everyone().apply_sync([] { rv::this_engine::vars().set("n", static_cast<T>(rv::this_engine::id() + 1)); });
  T sum = 0;
  T product = 1;
  for (std::size_t i = 1; i <= q; ++i) {
    sum = static_cast<T>(sum + static_cast<T>(i));
    product = static_cast<T>(product * static_cast<T>(i));
  }
  CHECK(everyone().reduce_sync<T>("n", std::plus<>()) == sum);
  CHECK(everyone().reduce_sync<T>("n", std::plus<T>()) == sum);
  CHECK(everyone().reduce_sync<T>("n", std::multiplies<>()) == product);
  CHECK(everyone().reduce_sync<T>("n", rv::min) == T(1));
  CHECK(everyone().reduce_sync<T>("n", rv::max) == static_cast<T>(q));
  CHECK(everyone().reduce_sync<T>("n", [](T a, T b) { return static_cast<T>(a + b); }) == sum);
  everyone().allreduce_sync<T>("n", "sum", std::plus<>());
  CHECK(everyone().pull_sync<T>("sum") == std::vector<T>(q, sum));
}

}  // namespace

TEST_CASE("numbers of every kind are reduced by MPI's operations", "[data]") {
  check_number<signed char>();
  check_number<short>();
  check_number<int>();
  check_number<long>();
  check_number<long long>();
  check_number<unsigned char>();
  check_number<unsigned short>();
  check_number<unsigned>();
  check_number<unsigned long>();
  check_number<float>();
  check_number<double>();
  check_number<long double>();
}

TEST_CASE("logical and bitwise operations", "[data]") {
  everyone().apply_sync([] {
    rv::this_engine::vars().set("bits", 3U << rv::this_engine::id());
    rv::this_engine::vars().set("yes", true);
    rv::this_engine::vars().set("first", rv::this_engine::id() == 0);
  });
  const auto q = client().size();
  unsigned all = 3;
  unsigned common = 3;
  unsigned odd = 3;
  for (std::size_t i = 1; i < q; ++i) {
    all |= 3U << i;
    common &= 3U << i;
    odd ^= 3U << i;
  }
  CHECK(everyone().reduce_sync<unsigned>("bits", std::bit_or<>()) == all);
  CHECK(everyone().reduce_sync<unsigned>("bits", std::bit_and<>()) == common);
  CHECK(everyone().reduce_sync<unsigned>("bits", std::bit_xor<>()) == odd);
  CHECK(everyone().reduce_sync<bool>("yes", std::logical_and<>()));
  CHECK(everyone().reduce_sync<bool>("first", std::logical_or<>()));
  CHECK(everyone().reduce_sync<bool>("first", std::logical_and<>()) == (q == 1));
}

TEST_CASE("arrays are reduced element by element, also longer ones than a segment", "[data]") {
  for (const std::size_t size : {0UL, 1UL, 1000UL, 32'768UL, 100'001UL}) {
    everyone().apply_sync(
        [](std::size_t n) {
          std::vector<double> values(n);
          for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(i) + rv::this_engine::id();
          rv::this_engine::vars().set("v", values);
        },
        size);
    const auto q = static_cast<double>(client().size());
    const auto sums = everyone().reduce_sync<std::vector<double>>("v", std::plus<>());
    const auto folded = everyone().reduce_sync<std::vector<double>>("v", [](double a, double b) { return a + b; });
    REQUIRE(sums.size() == size);
    CHECK(folded == sums);
    for (std::size_t i = 0; i < size; i += 997) CHECK(sums[i] == q * static_cast<double>(i) + q * (q - 1) / 2);
    everyone().allreduce_sync<std::vector<double>>("v", "sums", std::plus<>());
    for (const auto& each : everyone().pull_sync<std::vector<double>>("sums")) CHECK(each == sums);
    everyone().allreduce_sync<std::vector<double>>("v", "v", std::plus<>());
    for (const auto& each : everyone().pull_sync<std::vector<double>>("v")) CHECK(each == sums);
  }
}

TEST_CASE("arrays of different lengths are an error of the call that tells the lengths", "[data]") {
  if (client().size() < 2) return;
  everyone()["v"] = std::vector<double>{1, 2};
  client()[0]["v"] = std::vector<double>{1, 2, 3};
  const auto error = test::thrown<rv::UsageError>([] { everyone().reduce_sync<std::vector<double>>("v", std::plus<>()); });
  CHECK(test::contains(error.what(), "3, 2"));
  CHECK(test::contains(error.what(), "\"v\""));
  test::thrown<rv::UsageError>([] { everyone().allreduce_sync<std::vector<double>>("v", "w", std::plus<>()); });
  test::thrown<rv::UsageError>([] { everyone().reduce_sync<std::vector<double>>("v", [](double a, double b) { return a > b ? a : b; }); });
  CHECK(everyone().contains_sync("w") == std::vector<bool>(client().size(), false));
  CHECK(everyone().reduce_all_sync<double>("v", std::plus<>()) == 6.0 + 3.0 * static_cast<double>(client().size() - 1));
}

TEST_CASE("a fold that is not commutative goes in target order", "[data]") {
  everyone().apply_sync([] { rv::this_engine::vars().set("s", std::string(1, static_cast<char>('a' + rv::this_engine::id()))); });
  std::string forwards;
  for (const int id : client().ids()) forwards += static_cast<char>('a' + id);
  CHECK(everyone().reduce_sync<std::string>("s", concatenate) == forwards);
  CHECK(everyone().reduce_sync<std::string>("s", std::plus<>()) == forwards);
  std::vector<int> order = client().ids();
  std::reverse(order.begin(), order.end());
  CHECK(client()[order].reduce_sync<std::string>("s", concatenate) == std::string(forwards.rbegin(), forwards.rend()));
  everyone().allreduce_sync<std::string>("s", "all", concatenate);
  CHECK(everyone().pull_sync<std::string>("all") == std::vector<std::string>(client().size(), forwards));
  everyone().apply_sync([](const std::string& s) { rv::this_engine::vars().set("w", std::vector<std::string>{s, "-"}); }, rv::ref("s"));
  std::string dashed;
  for (const char c : forwards) dashed += std::string(1, c) + "-";
  CHECK(everyone().reduce_all_sync<std::string>("w", concatenate) == dashed);
}

TEST_CASE("any type and any operation", "[data]") {
  everyone()["z"] = std::complex<double>(1, 2);
  const auto q = static_cast<double>(client().size());
  CHECK(everyone().reduce_sync<std::complex<double>>("z", std::plus<>()) == std::complex<double>(q, 2 * q));
  everyone()["x"] = 1.0;
  CHECK(everyone().reduce_sync<double>("x", Scaled{1.0}) == q);
  const double by = 1.0;
  CHECK(everyone().reduce_sync<double>("x", rv::by_value([by](double a, double b) { return a + by * b; })) == q);
  const auto merge = [](std::vector<int> a, const std::vector<int>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  everyone()["v"] = std::vector{1, 2};
  CHECK(everyone().reduce_sync<std::vector<int>>("v", merge).size() == 2 * client().size());
}

TEST_CASE("reduce_all folds containers, empty ones as well", "[data]") {
  const auto q = client().size();
  everyone().scatter_sync("v", std::vector<double>{4, -1, 7});
  CHECK(everyone().reduce_all_sync<double>("v", std::plus<>()) == 10);
  CHECK(everyone().reduce_all_sync<double>("v", rv::min) == -1);
  CHECK(everyone().reduce_all_sync<double>("v", rv::max) == 7);
  CHECK(everyone().reduce_all_sync<double>("v", std::multiplies<>()) == -28);
  CHECK(everyone().reduce_all_sync<double>("v", [](double a, double b) { return a < b ? a : b; }) == -1);
  everyone()["v"] = std::vector<double>();
  CHECK(everyone().reduce_all_sync<double>("v", std::plus<>()) == 0);
  CHECK(everyone().reduce_all_sync<double>("v", std::multiplies<>()) == 1);
  test::thrown<rv::UsageError>([] { everyone().reduce_all_sync<double>("v", rv::min); });
  test::thrown<rv::UsageError>([] { everyone().reduce_all_sync<double>("v", [](double a, double b) { return a + b; }); });
  everyone()["one"] = 2.0;
  CHECK(everyone().reduce_all_sync<double>("one", std::plus<>()) == 2.0 * static_cast<double>(q));
}

TEST_CASE("an operation that throws is an error of its engine, and nobody hangs", "[data]") {
  const auto q = client().size();
  everyone().apply_sync([] { rv::this_engine::vars().set("n", rv::this_engine::id()); });
  const auto picky = [](int a, int b) {
    if (b == 1) throw std::runtime_error("not that one");
    return a + b;
  };
  if (q == 1) {
    CHECK(everyone().reduce_sync<int>("n", picky) == 0);
    return;
  }
  const auto error = test::thrown<rv::CompositeError>([&] { everyone().reduce_sync<int>("n", picky); });
  REQUIRE(error.size() == 1);
  CHECK(test::held<rv::RemoteError>(error.failures()[0].error).message() == "not that one");
  test::thrown<rv::CompositeError>([&] { everyone().allreduce_sync<int>("n", "m", picky); });
  CHECK(everyone().contains_sync("m") == std::vector<bool>(q, false));
  CHECK(everyone().reduce_sync<int>("n", std::plus<>()) == static_cast<int>(q * (q - 1) / 2));
}

TEST_CASE("sums of floating-point numbers are the same each time", "[data]") {
  everyone().apply_sync([] {
    std::vector<double> values(50'000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 / (1.0 + static_cast<double>(i) + 0.37 * rv::this_engine::id());
    rv::this_engine::vars().set("v", values);
  });
  const auto first = everyone().reduce_sync<std::vector<double>>("v", std::plus<>());
  const double all = everyone().reduce_all_sync<double>("v", std::plus<>());
  for (int i = 0; i < 5; ++i) {
    CHECK(everyone().reduce_sync<std::vector<double>>("v", std::plus<>()) == first);
    CHECK(everyone().reduce_all_sync<double>("v", std::plus<>()) == all);
  }
}

namespace {

// Cannot be encoded on one engine.
struct Reluctant {
  int engine = -1;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if (engine == 1) throw std::runtime_error("not to be sent");
    archive& engine;
  }
};

}  // namespace

TEST_CASE("a value that cannot be encoded is an error of its engine, and nobody hangs", "[data]") {
  everyone().apply_sync([] { rv::this_engine::vars().set("r", Reluctant{rv::this_engine::id()}); });
  const auto second = [](const Reluctant&, const Reluctant& b) { return b; };
  const auto reduced = everyone().reduce<Reluctant>("r", second);
  REQUIRE(reduced.wait(test::limit));
  CHECK(reduced.successful() == (client().size() == 1));
  const auto everywhere = everyone().allreduce<Reluctant>("r", "s", second);
  REQUIRE(everywhere.wait(test::limit));
  CHECK(everywhere.successful() == (client().size() == 1));
  CHECK(test::alive());
}

TEST_CASE("one value has one outcome, and its elements in order of completion are its elements", "[data]") {
  everyone().scatter_sync("v", std::vector<int>{5});
  const auto gathered = everyone().gather<int>("v");
  std::vector<std::pair<std::size_t, int>> seen;
  for (const auto& [index, value] : gathered.as_completed()) seen.emplace_back(index, value);
  CHECK(seen == std::vector<std::pair<std::size_t, int>>{{0, 5}});
  seen.clear();
  for (const auto& [index, value] : client()[0].apply([] { return std::vector<int>(); }).as_completed()) seen.emplace_back(index, value);
  CHECK(seen.empty());
  std::vector<int> small;
  const auto into = everyone().gather_into("v", small);
  REQUIRE(into.wait(test::limit));
  for (const auto& outcome : into.results()) CHECK_FALSE(outcome.has_value());
}

TEST_CASE("logical operations on numbers do what the callable does", "[data]") {
  everyone()["i"] = 5;
  CHECK(everyone().reduce_sync<int>("i", std::logical_and<>()) == (client().size() == 1 ? 5 : 1));
  CHECK(client()[0].reduce_sync<int>("i", std::logical_and<>()) == 5);
}
