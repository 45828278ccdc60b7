// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <sys/resource.h>
#include <algorithm>
#include <list>
#include <numeric>
#include <ranges>
#include <sstream>
#include <string>
#include <vector>

using test::client;
using test::everyone;

namespace {

std::vector<int> iota(int count) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// A type with no default constructor and no serialisation but its bytes.
struct Celsius {
  explicit Celsius(double d) : degrees(d) {}
  double degrees;
};

}  // namespace

TEST_CASE("scatter deals blocks in target order, the first few one longer", "[data]") {
  const std::size_t q = client().size();
  for (const int n : {0, 1, 4, 7, 10, 1000}) {
    everyone().scatter_sync("x", iota(n));
    const auto parts = everyone().pull_sync<std::vector<int>>("x");
    int next = 0;
    for (std::size_t p = 0; p < q; ++p) {
      const std::size_t size = static_cast<std::size_t>(n) / q + (p < static_cast<std::size_t>(n) % q ? 1 : 0);
      REQUIRE(parts[p].size() == size);
      for (const int value : parts[p]) CHECK(value == next++);
    }
    CHECK(everyone().gather_sync<int>("x") == iota(n));
  }
}

TEST_CASE("round robin deals every q-th element, and gather restores the order", "[data]") {
  const std::size_t q = client().size();
  everyone().scatter_sync("x", iota(11), {.dist = rv::round_robin});
  const auto parts = everyone().pull_sync<std::vector<int>>("x");
  for (std::size_t p = 0; p < q; ++p) {
    for (std::size_t i = 0; i < parts[p].size(); ++i) CHECK(parts[p][i] == static_cast<int>(p + i * q));
  }
  CHECK(everyone().gather_sync<int>("x", {.dist = rv::round_robin}) == iota(11));
  const std::vector<std::string> words = {"a", "b", "c", "d", "e"};
  everyone().scatter_sync("w", words, {.dist = rv::round_robin});
  CHECK(everyone().gather_sync<std::string>("w", {.dist = rv::round_robin}) == words);
}

TEST_CASE("parts that cannot have been dealt round robin are an error of the call", "[data]") {
  if (client().size() < 2) return;
  everyone()["x"] = std::vector{1};
  client()[-1]["x"] = std::vector{1, 2, 3};
  const auto error = test::thrown<rv::UsageError>([] { everyone().gather_sync<int>("x", {.dist = rv::round_robin}); });
  CHECK(test::contains(error.what(), "\"x\""));
  CHECK(test::contains(error.what(), "1, 3"));
  CHECK(everyone().gather_sync<int>("x").size() == client().size() + 2);
  everyone()["w"] = std::vector<std::string>{"a"};
  client()[-1]["w"] = std::vector<std::string>{"a", "b"};
  CHECK_THROWS_AS(everyone().gather_sync<std::string>("w", {.dist = rv::round_robin}), rv::UsageError);
}

TEST_CASE("scatter follows the order of the targets", "[data]") {
  std::vector<int> backwards = client().ids();
  std::reverse(backwards.begin(), backwards.end());
  const int q = test::engines();
  client()[backwards].scatter_sync("x", iota(q));
  for (int id = 0; id < q; ++id) CHECK(client()[id]["x"].get<std::vector<int>>() == std::vector{q - 1 - id});
  CHECK(client()[backwards].gather_sync<int>("x") == iota(q));
  std::vector<int> forwards = iota(q);
  std::reverse(forwards.begin(), forwards.end());
  CHECK(everyone().gather_sync<int>("x") == forwards);
}

TEST_CASE("flatten stores the element itself, and wants one for each engine", "[data]") {
  const int q = test::engines();
  everyone().scatter_sync("x", iota(q), {.flatten = true});
  CHECK(everyone().pull_sync<int>("x") == iota(q));
  CHECK(everyone().gather_sync<int>("x", {.flatten = true}) == iota(q));
  std::vector<std::string> words;
  for (int i = 0; i < q; ++i) words.push_back(std::string(static_cast<std::size_t>(i), 'w'));
  everyone().scatter_sync("w", words, {.dist = rv::round_robin, .flatten = true});
  CHECK(everyone().pull_sync<std::string>("w") == words);
  CHECK(everyone().gather_sync<std::string>("w") == words);
  for (const int wrong : {0, q - 1, q + 1, 2 * q}) {
    if (wrong == q) continue;
    const auto error = test::thrown<rv::UsageError>([&] { everyone().scatter_sync("x", iota(wrong), {.flatten = true}); });
    CHECK(test::contains(error.what(), std::to_string(wrong)));
  }
  CHECK(everyone().pull_sync<int>("x") == iota(q));
}

TEST_CASE("any range can be scattered", "[data]") {
  const std::list<int> list = {3, 1, 2};
  everyone().scatter_sync("x", list);
  CHECK(everyone().gather_sync<int>("x") == std::vector{3, 1, 2});
  everyone().scatter_sync("x", std::views::iota(0, 50) | std::views::transform([](int i) { return 2.0 * i; }));
  CHECK(everyone().gather_sync<double>("x").back() == 98.0);
  std::istringstream words("to be or not");
  everyone().scatter("x", std::ranges::istream_view<std::string>(words)).get(test::limit);
  CHECK(everyone().gather_sync<std::string>("x") == std::vector<std::string>{"to", "be", "or", "not"});
  const std::vector<bool> flags = {true, false, true, true, false};
  everyone().scatter_sync("f", flags);
  CHECK(client()[0]["f"].get<std::vector<bool>>().front());
  CHECK(everyone().gather_sync<bool>("f") == flags);
  const int array[] = {1, 2, 3};
  everyone().scatter("x", array).get(test::limit);
  CHECK(everyone().gather_sync<int>("x") == std::vector{1, 2, 3});
  everyone().scatter_sync("c", std::vector<Celsius>(5, Celsius(20.5)));
  CHECK(everyone().gather_sync<Celsius>("c").at(4).degrees == 20.5);
}

TEST_CASE("asynchronous scatters keep what they were given", "[data]") {
  std::vector<double> values(100'000, 1.5);
  const auto lvalue = everyone().scatter("lvalue", values);
  values.assign(values.size(), 0);
  lvalue.get(test::limit);
  CHECK(everyone().gather_sync<double>("lvalue") == std::vector<double>(100'000, 1.5));
  everyone().scatter("rvalue", std::vector<double>(100'000, 2.5)).get(test::limit);
  CHECK(everyone().gather<double>("rvalue").get(test::limit) == std::vector<double>(100'000, 2.5));
  everyone().scatter("borrowed", rv::borrow(values)).get(test::limit);
  CHECK(everyone().gather_sync<double>("borrowed") == values);
  std::vector<std::string> long_words(10, std::string(50'000, 'x'));
  const auto words = everyone().scatter("words", long_words);
  for (auto& word : long_words) word.assign(50'000, 'y');
  words.get(test::limit);
  CHECK(everyone().gather_sync<std::string>("words") == std::vector<std::string>(10, std::string(50'000, 'x')));
}

TEST_CASE("scatter and push write into a vector that has the size, and replace one that has not", "[data]") {
  const auto address = [](const std::string& name) {
    return reinterpret_cast<std::uintptr_t>(rv::this_engine::vars().get<std::vector<double>>(name).data());
  };
  std::vector<double> values(20'000 * client().size(), 1);
  everyone().scatter_sync("x", values);
  const auto before = everyone().apply_sync(address, "x");
  values.assign(values.size(), 2);
  everyone().scatter_sync("x", values);
  CHECK(everyone().apply_sync(address, "x") == before);
  CHECK(everyone().reduce_all_sync<double>("x", std::plus<>()) == 2.0 * static_cast<double>(values.size()));
  everyone().push_sync("x", std::vector<double>(20'000, 3));
  CHECK(everyone().apply_sync(address, "x") == before);
  CHECK(everyone().pull_sync<std::vector<double>>("x").back().back() == 3);
  everyone().push_sync("x", std::vector<double>(20'001, 4));
  CHECK(everyone().pull_sync<std::vector<double>>("x").back().size() == 20'001);
  everyone().push_sync("x", std::vector<float>(20'001, 5));
  CHECK(everyone().pull_sync<std::vector<float>>("x").back().back() == 5);
}

TEST_CASE("gather_into fills the caller's memory, or says what does not fit", "[data]") {
  everyone().scatter_sync("x", iota(100));
  std::vector<int> into(100, -1);
  everyone().gather_into_sync("x", into);
  CHECK(into == iota(100));
  into.assign(100, -1);
  everyone().gather_into("x", std::span(into)).get(test::limit);
  CHECK(into == iota(100));
  for (const std::size_t size : {0U, 99U, 101U}) {
    std::vector<int> wrong(size, -1);
    const auto error = test::thrown<rv::UsageError>([&] { everyone().gather_into_sync("x", wrong); });
    CHECK(test::contains(error.what(), "100"));
    CHECK(test::contains(error.what(), std::to_string(size)));
    CHECK(wrong == std::vector<int>(size, -1));
  }
  CHECK(everyone().gather_sync<int>("x") == iota(100));
}

TEST_CASE("an engine that cannot take part makes a collective fail everywhere, and the view works on", "[data]") {
  everyone().scatter_sync("x", iota(20));
  client()[-1].erase_sync("x");
  everyone()["y"] = 1;
  const auto lacks = [](auto&& action) {
    const auto error = test::thrown<rv::CompositeError>(action);
    REQUIRE(error.size() == 1);
    CHECK(error.failures()[0].index == client().size() - 1);
    CHECK(test::held<rv::NameError>(error.failures()[0].error).engine() == test::engines() - 1);
  };
  for (int i = 0; i < 3; ++i) {
    lacks([] { everyone().gather_sync<int>("x"); });
    lacks([] { everyone().reduce_sync<std::vector<int>>("x", std::plus<>()); });
    lacks([] { everyone().reduce_all_sync<int>("x", std::plus<>()); });
    lacks([] { everyone().reduce_all_sync<int>("x", rv::min); });
    lacks([] { everyone().allgather_sync<int>("x", "y"); });
    lacks([] { everyone().allreduce_sync<std::vector<int>>("x", "y", std::plus<>()); });
    lacks([] { everyone().broadcast_sync(-1, "x"); });
    CHECK(everyone()["y"].get<int>() == std::vector<int>(client().size(), 1));
    CHECK(test::alive());
  }
  everyone().scatter_sync("x", iota(20));
  CHECK(everyone().gather_sync<int>("x") == iota(20));
  const auto type = test::thrown<rv::CompositeError>([] { everyone().gather_sync<double>("x"); });
  CHECK(type.size() == client().size());
  CHECK(test::contains(test::held<rv::TypeError>(type.failures()[0].error).what(), "std::vector<double>"));
}

TEST_CASE("those that could have taken part end as aborted, without an error of their own", "[data]") {
  if (client().size() < 2) return;
  everyone()["x"] = std::vector{1};
  client()[0].erase_sync("x");
  const auto result = everyone().gather<int>("x");
  REQUIRE(result.wait(test::limit));
  CHECK(result.metadata(0).status == rv::Status::failed);
  CHECK(result.metadata(1).status == rv::Status::aborted);
  CHECK_FALSE(result.successful());
  CHECK(result.results().size() == 1);
  CHECK(result.results()[0].error() != nullptr);
}

TEST_CASE("an engine without memory makes the call fail, and keeps what it has", "[data]") {
  if (client().size() < 2 || test::sanitized) return;
  everyone().push_sync("x", std::vector<char>(40'000, 'x'));
  client()[-1].apply_sync([] {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    rv::this_engine::vars().set("limit", limit.rlim_cur);
    limit.rlim_cur = std::size_t{1} << 30U;
    setrlimit(RLIMIT_AS, &limit);
  });
  const std::vector<char> much(std::size_t{1} << 30U, 'y');
  const auto error = test::thrown<rv::CompositeError>([&] { everyone().push_sync("x", much); });
  REQUIRE(error.size() == 1);
  CHECK(test::held<rv::RemoteError>(error.failures()[0].error).type_name() == "std::bad_alloc");
  client()[-1].apply_sync([] {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = rv::this_engine::vars().get<rlim_t>("limit");
    setrlimit(RLIMIT_AS, &limit);
  });
  for (const auto& kept : everyone().pull_sync<std::vector<char>>("x")) CHECK(kept == std::vector<char>(40'000, 'x'));
  everyone().push_sync("x", std::vector<char>(50'000, 'z'));
  CHECK(everyone().pull_sync<std::vector<char>>("x").back().size() == 50'000);
}

TEST_CASE("a view of one engine, and one of none", "[data]") {
  const rv::EngineView one = client()[-1];
  one.scatter_sync("x", iota(5));
  CHECK(one["x"].get<std::vector<int>>() == iota(5));
  CHECK(one.gather_sync<int>("x") == iota(5));
  CHECK(one.reduce_all_sync<int>("x", std::plus<>()) == 10);
  CHECK(one.reduce_sync<std::vector<int>>("x", std::plus<>()) == iota(5));
  one.barrier_sync();
  test::thrown<rv::NameError>([&] { one.gather_sync<int>("absent"); });
  test::thrown<rv::NameError>([&] { one.reduce_sync<int>("absent", std::plus<>()); });

  const rv::DirectView none = client()[std::vector<int>()];
  CHECK_THROWS_AS(none.scatter_sync("x", iota(5)), rv::UsageError);
  CHECK_THROWS_AS(none.scatter_sync("x", std::vector<std::string>{"a"}), rv::UsageError);
  none.scatter_sync("x", std::vector<int>());
  none.push_sync("x", std::vector<double>(10'000));
  none.barrier_sync();
  CHECK(none.gather_sync<int>("x").empty());
  CHECK(none.gather_sync<std::string>("x").empty());
  CHECK_THROWS_AS(none.reduce_sync<int>("x", std::plus<>()), rv::UsageError);
}

TEST_CASE("collectives come after what was asked before, whatever the views", "[data]") {
  const int q = test::engines();
  for (int round = 0; round < 50; ++round) {
    std::vector<rv::AsyncResult<void>> results;
    results.push_back(everyone().push("x", std::vector<int>{round}));
    for (int id = 0; id < q; ++id) results.push_back(client()[id].push("x", std::vector<int>{round, id}));
    const auto gathered = everyone().gather<int>("x");
    std::vector<int> some = client().ids();
    std::rotate(some.begin(), some.begin() + round % q, some.end());
    some.resize(static_cast<std::size_t>(1 + round % q));
    const auto partly = client()[some].gather<int>("x");
    everyone().apply([](std::vector<int>& x) { x.push_back(-1); }, rv::ref("x"));
    const auto after = everyone().gather<int>("x");
    CHECK(partly.get(test::limit).size() == 2 * some.size());
    CHECK(gathered.get(test::limit).size() == static_cast<std::size_t>(2 * q));
    CHECK(after.get(test::limit).size() == static_cast<std::size_t>(3 * q));
    for (int id = 0; id < q; ++id) CHECK(gathered.get()[static_cast<std::size_t>(2 * id) + 1] == id);
  }
}

TEST_CASE("rank 0 serves other views while a collective waits for a late engine", "[data]") {
  if (client().size() < 2) return;
  test::Gate gate;
  everyone()["x"] = std::vector{1};
  const auto late = client()[0].apply(test::Gate::pass, gate.path());
  const auto gathered = everyone().gather<int>("x");
  // Engine 1 waits in the collective; engine 0 is busy; rank 0 does neither.
  CHECK_FALSE(gathered.wait(20ms));
  const auto another = client()[{0, 1}].gather<int>("x");
  CHECK_FALSE(another.wait(20ms));
  if (client().size() > 2) {
    CHECK(client()[-1].apply([] { return 1; }).wait(20ms) == false);
  }
  gate.open();
  CHECK(gathered.get(test::limit).size() == client().size());
  CHECK(another.get(test::limit) == std::vector{1, 1});
  late.get(test::limit);
}

TEST_CASE("collectives that still wait can be aborted", "[data]") {
  test::Gate gate;
  std::vector<rv::AsyncResult<void>> busy;
  // More than an engine is handed ahead of need, so that the next waits on rank 0.
  for (int i = 0; i < 3000; ++i) busy.push_back(client()[0].apply(test::Gate::pass, gate.path()));
  const auto scattered = everyone().scatter("aborted", iota(10));
  const auto after = everyone().apply([] { return rv::this_engine::vars().contains("aborted"); });
  scattered.abort();
  REQUIRE(scattered.wait(test::limit));
  CHECK_THROWS_AS(scattered.get(), rv::CompositeError);
  gate.open();
  CHECK(after.get(test::limit) == std::vector<bool>(client().size(), false));
  CHECK(test::alive());
}

TEST_CASE("more views than communicators are kept for", "[data]") {
  const int q = test::engines();
  everyone().scatter_sync("x", iota(q), {.flatten = true});
  std::vector<int> order = client().ids();
  // All orders of the engines, up to a bound beyond the cache.
  int views = 0;
  do {
    CHECK(client()[order].gather_sync<int>("x") == order);
  } while (++views < 200 && std::next_permutation(order.begin(), order.end()));
  CHECK(everyone().gather_sync<int>("x") == iota(q));
}
