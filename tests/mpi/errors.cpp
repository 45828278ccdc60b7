// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

namespace app {

// Not derived from std::exception.
struct Diverged {
  int step = 0;
};

// Has no text.
struct Speechless : std::exception {
  const char* what() const noexcept override { return nullptr; }
};

class Failure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Serialises itself, or refuses to, as asked: where it is sent, and where it arrives.
template <int kind>
struct Stubborn {
  bool refuses_to_leave = false;
  bool refuses_to_arrive = false;
  std::vector<double> before;  // may be long
  std::vector<double> after;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& refuses_to_leave& refuses_to_arrive;
    if (kind == 3 && Archive::is_loading::value && refuses_to_arrive) throw Speechless();
    if (Archive::is_saving::value && refuses_to_leave) throw std::range_error("will not leave");
    if (Archive::is_loading::value && refuses_to_arrive) {
      if constexpr (kind == 0) throw std::range_error("will not arrive");
      throw Diverged{kind};
    }
  }
};

}  // namespace app

namespace {

template <class F, class... A>
rv::RemoteError remote(F f, A... arguments) {
  return test::thrown<rv::RemoteError>([&] { client()[-1].apply_sync(f, arguments...); });
}

// Too long for a message, and then something that may refuse.
using Long = std::pair<std::vector<double>, app::Stubborn<0>>;

}  // namespace

TEST_CASE("an exception reaches the client with its type, message and place") {
  const auto error = remote([](int n) { std::vector<int>().at(static_cast<std::size_t>(n)); }, 3);
  CHECK(error.type_name() == "std::out_of_range");
  CHECK_FALSE(error.message().empty());
  CHECK(error.engine() == test::engines() - 1);
  CHECK(error.where().rank == (error.where().pid == getpid() ? 0 : test::engines()));
  CHECK(error.where().pid == client()[-1].apply_sync(getpid));
  std::array<char, 256> host{};
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);
  CHECK(error.host() == host.data());
  CHECK(error.task().call > 0);
  const std::string what = error.what();
  for (const std::string& part :
       {error.type_name(), error.message(), error.host(), "engine " + std::to_string(error.engine()), "task " + to_string(error.task())})
    CHECK(test::contains(what, part));
}

TEST_CASE("a task may throw anything") {
  const auto own = remote([] { throw app::Failure("own class"); });
  CHECK(own.type_name() == "app::Failure");
  CHECK(own.message() == "own class");
  CHECK(remote([] { throw app::Diverged{3}; }).type_name() == "app::Diverged");
  const auto text = remote([] { throw std::string("as a string"); });
  CHECK(text.type_name() == "std::string");
  CHECK(text.message() == "as a string");
  const auto literal = remote([] { throw "as a literal"; });
  CHECK(literal.message() == "as a literal");
  const auto number = remote([] { throw 42; });
  CHECK(number.type_name() == "int");
  CHECK(number.message() == "42");
  CHECK(remote([] { throw 0.5; }).type_name() == "double");
  CHECK(remote([] { throw std::bad_alloc(); }).type_name() == "std::bad_alloc");
  CHECK(remote([] { throw nullptr; }).type_name() != "");
  CHECK(remote([] { throw std::runtime_error(""); }).message().empty());
  CHECK(remote([] { throw std::runtime_error(std::string(100'000, 'x')); }).message().size() == 100'000);
  CHECK(test::alive());
}

TEST_CASE("what() of an exception may be null, wherever it is thrown") {
  const std::string instead = "its what() gives a null pointer";
  const auto speechless = remote([] { throw app::Speechless(); });
  CHECK(speechless.type_name() == "app::Speechless");
  CHECK(speechless.message() == instead);
  CHECK(test::contains(test::thrown<rv::CompositeError>([] { everyone().apply_sync([] { throw app::Speechless(); }); }).what(), instead));
  CHECK(balanced().map([](int n) { return n == 1 ? throw app::Speechless() : n; }, std::vector{0, 1, 2}).results()[1].has_value() == false);
  // In a predicate, an operation, a subtask, an argument, a result and a continuation.
  CHECK_THROWS_AS(balanced().with({.depend = []() -> bool { throw app::Speechless(); }}).apply([] {}).get(test::limit), rv::RemoteError);
  CHECK_THROWS_AS(balanced()
                      .map_reduce([](int n) { return n; }, [](int, int) -> int { throw app::Speechless(); }, std::vector{1, 2, 3, 4})
                      .get(test::limit),
                  std::exception);
  CHECK(test::contains(remote([] { rv::this_task::submit([] { throw app::Speechless(); }).get(); }).message(), instead));
  const app::Stubborn<3> bad{false, true, {}, {}};
  CHECK(
      test::contains(test::thrown<rv::RemoteError>([&] { client()[0].apply_sync([](const app::Stubborn<3>&) {}, bad); }).what(), instead));
  CHECK(test::contains(
      test::thrown<rv::DecodeError>([] { client()[0].apply_sync([] {
                                           return app::Stubborn<3>{false, true, {}, {}};
                                         }); }).what(), instead));
  const auto first = client()[0].apply([] { return 1; }).then([](int) { throw app::Speechless(); });
  CHECK_THROWS_AS(first.get(test::limit), app::Speechless);
  const auto next = balanced().with({.after = first}).apply([] {});
  CHECK(test::contains(test::thrown<rv::ImpossibleDependency>([&] { next.get(test::limit); }).what(), instead));
  CHECK(test::alive());
}

TEST_CASE("every error of rankview's own is an rv::Error") {
  CHECK_THROWS_AS(client()[0].apply_sync([] { throw 1; }), rv::Error);
  CHECK_THROWS_AS(everyone().apply_sync([] { throw 1; }), rv::Error);
  CHECK_THROWS_AS(everyone().apply_sync([] { throw 1; }), std::runtime_error);
}

TEST_CASE("an error can be asked for again") {
  const auto result = client()[0].apply([]() -> int { throw std::runtime_error("again"); });
  REQUIRE(result.wait(test::limit));
  for (int i = 0; i < 3; ++i) {
    CHECK(test::thrown<rv::RemoteError>([&] { result.get(); }).message() == "again");
    CHECK(test::thrown<rv::RemoteError>([&] { result.get(0s); }).message() == "again");
  }
  CHECK_FALSE(result.successful());
  const auto copy = result;
  CHECK_THROWS_AS(copy.get(), rv::RemoteError);
}

TEST_CASE("failures on several engines come together, in target order") {
  const auto odd = [] {
    if (rv::this_engine::id() % 2 == 0) throw std::runtime_error("even engine " + std::to_string(rv::this_engine::id()));
    return rv::this_engine::id();
  };
  std::vector<int> backwards = client().ids();
  std::reverse(backwards.begin(), backwards.end());
  const auto error = test::thrown<rv::CompositeError>([&] { client()[backwards].apply_sync(odd); });
  std::vector<int> failed;
  for (const auto& failure : error.failures()) {
    const auto remote_error = test::held<rv::RemoteError>(failure.error);
    failed.push_back(remote_error.engine());
    CHECK(backwards[failure.index] == remote_error.engine());
    CHECK(test::contains(error.what(), remote_error.message()));
  }
  std::vector<int> wanted;
  for (const int id : backwards) {
    if (id % 2 == 0) wanted.push_back(id);
  }
  CHECK(failed == wanted);
  // Also for a view of one engine; an EngineView throws the error itself.
  CHECK_THROWS_AS(client()[{0}].apply_sync(odd), rv::CompositeError);
  CHECK_THROWS_AS(client()[0].apply_sync(odd), rv::RemoteError);
}

TEST_CASE("an argument that cannot be sent throws in the caller") {
  using S = app::Stubborn<0>;
  const auto take = [](const S&) { return 1; };
  const S bad{true, false, {}, {}};
  SECTION("one engine") {
    CHECK_THROWS_AS(client()[0].apply_sync(take, bad), std::range_error);
    CHECK_THROWS_AS(client()[0].apply(take, bad), std::range_error);
    CHECK_THROWS_AS(client()[0].push_sync("x", bad), std::range_error);
  }
  SECTION("several engines") {
    CHECK_THROWS_AS(everyone().apply_sync(take, bad), std::range_error);
    CHECK_THROWS_AS(everyone().apply(take, bad), std::range_error);
    CHECK_THROWS_AS(everyone()["x"] = bad, std::range_error);
  }
  SECTION("load-balanced") {
    CHECK_THROWS_AS(balanced().apply_sync(take, bad), std::range_error);
    CHECK_THROWS_AS(balanced().apply(take, bad), std::range_error);
  }
  SECTION("map") {
    std::vector<S> items(50);
    items[30] = bad;
    CHECK_THROWS_AS(balanced().map_sync(take, items), std::range_error);
    CHECK_THROWS_AS(balanced().map(take, items), std::range_error);
    CHECK_THROWS_AS(balanced().with({.chunksize = 4}).map(take, items), std::range_error);
    CHECK_THROWS_AS(everyone().map(take, items), std::range_error);
  }
  CHECK(client().wait(test::limit));
  CHECK(test::alive());
}

TEST_CASE("an argument that cannot be read is an error of its task") {
  using S = app::Stubborn<0>;
  const auto take = [](const S&) { return 1; };
  const S bad{false, true, {}, {}};
  const auto error = test::thrown<rv::RemoteError>([&] { client()[0].apply_sync(take, bad); });
  CHECK(error.message() == "will not arrive");
  const app::Stubborn<1> strange{false, true, {}, {}};
  CHECK(test::thrown<rv::RemoteError>([&] { client()[0].apply_sync([](const app::Stubborn<1>&) {}, strange); }).type_name() ==
        "app::Diverged");

  std::vector<S> items(9);
  items[0] = items[5] = bad;
  const auto outcomes = balanced().with({.chunksize = 3}).map(take, items).results();
  for (std::size_t i = 0; i < items.size(); ++i) CHECK(outcomes[i].has_value() == (i != 0 && i != 5));
  CHECK(test::alive());
}

TEST_CASE("a long argument before one that cannot be read") {
  const auto take = [](const Long& value) { return value.first.size(); };
  for (int i = 0; i < 3; ++i) {
    const Long bad(std::vector<double>(30'000), {false, true, {}, {}});
    CHECK_THROWS_AS(client()[0].apply_sync(take, bad), rv::RemoteError);
    CHECK_THROWS_AS(everyone().apply(take, bad).get(test::limit), rv::CompositeError);
    const Long good(std::vector<double>(30'000), {});
    CHECK(everyone().apply_sync(take, good) == std::vector<std::size_t>(client().size(), 30'000));
  }
}

TEST_CASE("a result that cannot be sent is an error of its task") {
  using S = app::Stubborn<0>;
  const auto error = remote([] { return S{true, false, {}, {}}; });
  CHECK(error.message() == "will not leave");
  CHECK(error.type_name() == "std::range_error");
  const auto outcomes = balanced().map([](int n) { return S{n % 4 == 0, false, {}, {}}; }, std::views::iota(0, 20)).results();
  for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i].has_value() == (i % 4 != 0));
  // After something long has been put into it already.
  for (int i = 0; i < 3; ++i)
    CHECK(remote([] { return Long(std::vector<double>(30'000), {true, false, {}, {}}); }).message() == "will not leave");
  CHECK(test::alive());
}

TEST_CASE("a result that cannot be read is an error of its task") {
  const auto bad = [] { return app::Stubborn<0>{false, true, {}, {}}; };
  const auto error = test::thrown<rv::DecodeError>([&] { client()[-1].apply_sync(bad); });
  CHECK(test::contains(error.what(), "will not arrive"));
  CHECK(test::contains(error.what(), "engine " + std::to_string(test::engines() - 1)));
  CHECK_THROWS_AS(balanced().apply([] { return app::Stubborn<2>{false, true, {}, {}}; }).get(test::limit), rv::DecodeError);
  const auto composite = test::thrown<rv::CompositeError>([&] { everyone().apply_sync(bad); });
  CHECK(composite.size() == client().size());

  const auto outcomes = balanced()
                            .map(
                                [](int n) {
                                  return app::Stubborn<0>{false, n % 4 == 0, {}, {}};
                                },
                                std::views::iota(0, 20))
                            .results();
  for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i].has_value() == (i % 4 != 0));
  CHECK(test::alive());
}

TEST_CASE("a long result that cannot be read to its end") {
  const auto make = [](int n) { return Long(std::vector<double>(30'000, n), {false, n % 2 == 0, {}, {}}); };
  const auto outcomes = balanced().map(make, std::views::iota(0, 10)).results();
  for (std::size_t i = 0; i < 10; ++i) {
    REQUIRE(outcomes[i].has_value() == (i % 2 == 1));
    if (outcomes[i]) CHECK(outcomes[i].value().first.back() == static_cast<double>(i));
  }
  CHECK(test::alive());
}

TEST_CASE("errors of the caller's making are usage errors, and harmless") {
  CHECK_THROWS_AS(balanced().with({.chunksize = 0}).map([](int) {}, std::vector{1}), rv::UsageError);
  CHECK_THROWS_AS(client()[rv::slice({}, {}, 0)], rv::UsageError);
  CHECK(test::alive());
}
