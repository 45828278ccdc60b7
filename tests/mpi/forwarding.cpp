// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// Long results that are arguments on other engines. With RANKVIEW_FORWARD_RESULTS=2 they go from engine to engine, and what is to come out
// is the same.
#include "fixture.hpp"

#include <algorithm>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using test::client;
using test::engines;
using test::everyone;

namespace {

constexpr std::size_t size = 100'000;

std::vector<double> count_up(double from, std::size_t count) {
  std::vector<double> numbers(count);
  std::iota(numbers.begin(), numbers.end(), from);
  return numbers;
}

double last(const std::vector<double>& numbers) { return numbers.back(); }

std::vector<double> add(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> sum(std::min(a.size(), b.size()));
  std::transform(sum.begin(), sum.end(), a.begin(), sum.begin(), [](double, double x) { return x; });
  std::transform(sum.begin(), sum.end(), b.begin(), sum.begin(), std::plus<>());
  return sum;
}

// Until the task is stopped.
bool sit() {
  while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(100us);
  return true;
}

}  // namespace

TEST_CASE("an engine that is in a task gives others what it has", "[forward]") {
  if (engines() == 1) return;
  const auto made = client()[0].apply(count_up, 0.0, size);
  made.wait(test::limit);
  const auto sitting = client()[0].apply(sit);
  for (int to = 1; to < engines(); ++to) CHECK(client()[to].apply(last, made).get(test::limit) == size - 1.0);
  sitting.abort();
  CHECK(sitting.get(test::limit));
  CHECK(test::alive());
}

TEST_CASE("two engines each want what the other has", "[forward]") {
  if (engines() == 1) return;
  const auto one = client()[0];
  const auto other = client()[1];
  for (int round = 0; round < 100; ++round) {
    auto a = one.apply(count_up, 1.0 * round, size);
    auto b = other.apply(count_up, 2.0 * round, size);
    a.wait(test::limit);
    b.wait(test::limit);
    a = std::exchange(b, one.apply(add, a, b));
    b = other.apply(add, a, b);
    CHECK(b.get(test::limit).back() == 5.0 * round + 3 * (size - 1.0));
  }
  CHECK(test::alive());
}

TEST_CASE("an engine that waits for others in MPI gives them what it has", "[forward]") {
  if (engines() == 1) return;
  const auto together = [](const boost::mpi::communicator& comm) {
    return boost::mpi::all_reduce(comm, rv::this_engine::id(), std::plus<>());
  };
  const int sum = engines() * (engines() - 1) / 2;
  for (int round = 0; round < 20; ++round) {
    const auto made = client()[0].apply(count_up, 0.0, size);
    made.wait(test::limit);
    std::vector<rv::AsyncResult<double>> looks;
    for (int to = 1; to < engines(); ++to) looks.push_back(client()[to].apply(last, made));
    CHECK(everyone().apply(together).get(test::limit) == std::vector<int>(client().size(), sum));
    for (const auto& look : looks) CHECK(look.get(test::limit) == size - 1.0);
    // It failed for one, so a new communicator is made next time.
    const auto failing = [](const boost::mpi::communicator&) {
      if (rv::this_engine::id() == 0) throw std::runtime_error("here");
    };
    for (int to = 1; to < engines(); ++to) looks.push_back(client()[to].apply(last, made));
    CHECK_THROWS_AS(everyone().apply(failing).get(test::limit), rv::CompositeError);
    for (const auto& look : looks) CHECK(look.get(test::limit) == size - 1.0);
  }
}

TEST_CASE("an engine that cannot take part in a collective, and waits to say so, gives others what it has", "[forward]") {
  if (engines() < 3) return;
  const auto some = client()[{1, 2}];
  CHECK_THROWS_AS(some.gather<int>("nope").get(test::limit), rv::CompositeError);  // the team is there from here on
  const auto made = client()[1].apply(count_up, 0.0, size);
  made.wait(test::limit);
  const auto sitting = client()[2].apply(sit);
  const auto gathered = some.gather<int>("nope");
  CHECK(client()[0].apply(last, made).get(test::limit) == size - 1.0);
  sitting.abort();
  CHECK(sitting.get(test::limit));
  CHECK_THROWS_AS(gathered.get(test::limit), rv::CompositeError);
}

TEST_CASE("what was on its way to a task that is given up is dropped", "[forward]") {
  if (engines() == 1) return;
  const auto made = client()[0].apply(count_up, 0.0, size);
  made.wait(test::limit);
  for (int round = 0; round < 20; ++round) {
    const auto sitting = client()[1].apply(sit);
    std::vector<rv::AsyncResult<double>> looks;
    for (int i = 0; i < 5; ++i) looks.push_back(client()[1].apply(last, made));
    for (const auto& look : looks) look.abort();
    sitting.abort();
    CHECK(sitting.get(test::limit));
    for (const auto& look : looks) {
      look.wait(test::limit);
      CHECK_THROWS_AS(look.get(), rv::TaskAborted);
    }
    CHECK(client()[1].apply(last, made).get(test::limit) == size - 1.0);
  }
  CHECK(test::alive());
}

TEST_CASE("a random graph of long results", "[forward]") {
  const std::uint32_t seed = test::seed("graph of long results");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  const auto any = [&random](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  // Below and above what is sent by itself.
  const auto any_size = [&] { return any(2) == 0 ? 1 + any(5'000) : 4'096 + any(20'000); };
  const auto view = client().load_balanced_view();
  std::vector<rv::AsyncResult<std::vector<double>>> results;
  std::vector<std::vector<double>> expected;
  const auto submit = [&](const auto& f, const auto&... arguments) {
    const auto to = static_cast<int>(any(2 * client().size()));
    results.push_back(to < engines() ? client()[to].apply(f, arguments...) : view.apply(f, arguments...));
  };
  for (int i = 0; i < 300; ++i) {
    if (results.size() < 4 || any(5) == 0) {
      const std::size_t count = any_size();
      submit(count_up, 1.0 * i, count);
      expected.push_back(count_up(i, count));
    } else {
      const std::size_t a = any(results.size());
      const std::size_t b = any(results.size());
      const auto first = results[a];
      const auto second = results[b];
      submit(add, first, second);
      expected.push_back(add(expected[a], expected[b]));
    }
  }
  for (std::size_t i = 0; i < results.size(); ++i) REQUIRE(results[i].get(test::limit) == expected[i]);
  CHECK(test::alive());
}
