// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/detail/results.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using rankview::detail::Results;

namespace {

struct Sealed {
  explicit Sealed(int number) : value(number) {}
  int value;
  friend bool operator==(const Sealed&, const Sealed&) = default;
};

// Puts values in place as they would arrive: not in order.
template <class R>
void fill(Results<R>& results, const std::vector<R>& values) {
  results.multiple = true;
  results.grow(values.size(), 0);
  for (std::size_t i = values.size(); i > 0; --i) {
    unit::Writer out;
    unit::codec<R>::save(out, values[i - 1]);
    unit::Reader in(out.bytes.bytes());
    results.load(i - 1, in);
  }
}

template <class R>
void check(const std::vector<R>& values) {
  Results<R> results;
  fill(results, values);
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(results.at(i) == values[i]);
  CHECK(results.all() == values);
  CHECK(results.all() == values);
  CHECK(results.take_all() == values);
}

}  // namespace

TEST_CASE("results of all kinds of types", "[results]") {
  check(std::vector<int>{1, 2, 3});
  check(std::vector<std::string>{"a", "", "c"});
  check(std::vector<std::vector<double>>{{1}, {}, {2, 3}});
  check(std::vector<int>{});
}

TEST_CASE("results that are bool", "[results]") {
  check(std::vector<bool>{true, false, true});
  Results<bool> results;
  fill(results, std::vector<bool>{false, true});
  CHECK_FALSE(results.take(0));
  CHECK(results.take(1));
}

TEST_CASE("the result of a single task", "[results]") {
  Results<std::string> results;
  results.grow(1, 0);
  unit::Writer out;
  out.text("alone");
  unit::Reader in(out.bytes.bytes());
  results.load(0, in);
  CHECK(results.at(0) == "alone");
  CHECK(results.take(0) == "alone");
}

TEST_CASE("results without a default constructor", "[results]") {
  STATIC_REQUIRE(!std::is_default_constructible_v<Sealed>);
  check(std::vector<Sealed>{Sealed(1), Sealed(2)});
}

TEST_CASE("results of a call that grows as it is submitted", "[results]") {
  Results<std::string> results;
  results.multiple = true;
  for (std::uint64_t count = 1; count <= 1000; ++count) {
    results.grow(count, 0);
    unit::Writer out;
    out.text(std::to_string(count));
    unit::Reader in(out.bytes.bytes());
    results.load(count - 1, in);
  }
  CHECK(results.all().front() == "1");
  CHECK(results.all().back() == "1000");
  CHECK(results.all().size() == 1000);
}

TEST_CASE("a result that cannot be read leaves the others alone", "[results]") {
  Results<std::string> results;
  fill(results, std::vector<std::string>{"a", "b"});
  unit::Reader nothing({});
  CHECK_THROWS_AS(results.load(0, nothing), rankview::DecodeError);
  CHECK(results.at(1) == "b");
}

TEST_CASE("discarded results take no memory", "[results]") {
  Results<std::string> results;
  fill(results, std::vector<std::string>{std::string(1000, 'x')});
  results.discard();
  CHECK(results.all().empty());
}

TEST_CASE("several threads ask for all results at once", "[results]") {
  Results<bool> results;
  fill(results, std::vector<bool>(10'000, true));
  std::vector<std::thread> threads;
  std::vector<std::size_t> sizes(4);
  for (std::size_t& size : sizes) threads.emplace_back([&size, &results] { size = results.all().size(); });
  for (std::thread& thread : threads) thread.join();
  CHECK(sizes == std::vector<std::size_t>(4, 10'000));
}

TEST_CASE("deadlines", "[results]") {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  CHECK(rankview::detail::deadline_from(now, 2s) == now + 2s);
  CHECK(rankview::detail::deadline_from(now, 0s) == now);
  CHECK(rankview::detail::deadline_from(now, -1s) == now - 1s);
  // For ever.
  CHECK_FALSE(rankview::detail::deadline_from(now, std::chrono::duration<double>(1e300)));
  CHECK_FALSE(rankview::detail::deadline_after(std::chrono::hours::max()));
}
