// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <algorithm>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <functional>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

double twice(double x) { return 2 * x; }

int fails(int n) { throw std::runtime_error("task " + std::to_string(n) + " cannot"); }

int whose() { return rv::this_engine::id(); }

std::vector<double> count_up(std::size_t size) {
  std::vector<double> numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return numbers;
}

double last(const std::vector<double>& numbers) { return numbers.back(); }

}  // namespace

TEST_CASE("a task runs after others") {
  test::Gate gate;
  const auto view = balanced();
  const auto first = view.apply(
      [](const std::string& path) {
        test::Gate::pass(path);
        return std::chrono::system_clock::now().time_since_epoch().count();
      },
      gate.path());
  const auto second = view.with({.after = first}).apply([] { return std::chrono::system_clock::now().time_since_epoch().count(); });
  const auto third = view.with({.after = {first, second}}).map(twice, std::vector{1.0, 2.0, 3.0});
  const auto bound = client()[-1].with({.after = third}).apply(whose);
  CHECK_FALSE(second.wait(20ms));
  CHECK(client().queue_status().dependent == 5);
  gate.open();
  CHECK(third.get(test::limit) == std::vector{2.0, 4.0, 6.0});
  CHECK(bound.get(test::limit) == engines() - 1);
  CHECK(second.get() >= first.get());
  CHECK(client().queue_status().dependent == 0);
  // What has ended already is no hindrance, with or without its result.
  CHECK(view.with({.after = first}).apply(twice, 4).get(test::limit) == 8);
  CHECK(view.with({.after = third.task_ids()}).apply(twice, 4).get(test::limit) == 8);
  CHECK(view.with({.after = third.task_ids()[1]}).apply(twice, 4).get(test::limit) == 8);
}

TEST_CASE("what became of others decides") {
  const auto view = balanced();
  const auto good = view.apply(twice, 1);
  const auto bad = view.apply(fails, 7);
  bad.wait(test::limit);
  CHECK_FALSE(bad.successful());
  CHECK(view.with({.after = rv::failed(bad)}).apply(twice, 1).get(test::limit) == 2);
  CHECK(view.with({.after = rv::ended({good, bad})}).apply(twice, 1).get(test::limit) == 2);
  CHECK(view.with({.after = rv::any_of({bad, good})}).apply(twice, 1).get(test::limit) == 2);
  CHECK_THROWS_AS(view.with({.after = rv::failed(good)}).apply(twice, 1).get(test::limit), rv::ImpossibleDependency);
  CHECK_THROWS_AS(view.with({.after = {good, bad}}).apply(twice, 1).get(test::limit), rv::ImpossibleDependency);
}

TEST_CASE("a failure cascades at once, and says where it began") {
  test::Gate gate;
  const auto view = balanced();
  const auto cause = view.map(
      [](const std::string& path, int n) {
        test::Gate::pass(path);
        if (n == 1) throw std::runtime_error("no convergence");
        return n;
      },
      std::vector<std::string>(3, gate.path()), std::vector{0, 1, 2});
  std::vector<rv::AsyncResult<double>> chain;
  rv::Dependency before = cause;
  for (int i = 0; i < 20; ++i) {
    chain.push_back(view.with({.after = before}).apply(twice, i));
    before = chain.back();
  }
  const auto bound = client()[0].with({.after = chain.back()}).apply(whose);
  gate.open();
  const auto near = test::thrown<rv::ImpossibleDependency>([&] { chain.front().get(test::limit); });
  CHECK(near.chain() == std::vector<rv::TaskId>{cause.task_ids()[1]});
  CHECK(test::contains(near.what(), "no convergence"));
  const auto far = test::thrown<rv::ImpossibleDependency>([&] { bound.get(test::limit); });
  REQUIRE(far.chain().size() == 21);
  CHECK(far.chain().front() == chain.back().task_ids()[0]);
  CHECK(far.chain().back() == cause.task_ids()[1]);
  CHECK(test::contains(far.what(), "no convergence"));
  CHECK(test::contains(far.what(), to_string(cause.task_ids()[1])));
  CHECK(std::string(far.what()).size() < 600);
  for (const auto& link : chain) CHECK_FALSE(link.successful());
  CHECK(test::alive());
}

TEST_CASE("giving up a task is a failure to those that wait for it") {
  test::Gate gate;
  const auto view = balanced();
  const auto waiting = view.with({.after = client()[0].apply(test::Gate::pass, gate.path())}).apply(twice, 1);
  const auto dependent = view.with({.after = waiting}).apply(twice, 1);
  const auto cleanup = view.with({.after = rv::ended(waiting)}).apply(twice, 1);
  waiting.abort();
  CHECK_THROWS_AS(waiting.get(test::limit), rv::TaskAborted);
  CHECK_THROWS_AS(dependent.get(test::limit), rv::ImpossibleDependency);
  gate.open();
  CHECK(cleanup.get(test::limit) == 2);
}

namespace {

// How a call ends that is to come after a failure: on a view of several engines for each of them, on a view of one as it is.
template <class Result>
void check_impossible(const Result& result, std::size_t parts) {
  try {
    result.get(test::limit);
    FAIL_CHECK("it ran");
  } catch (const rv::ImpossibleDependency& error) {
    CHECK(parts == 1);
    CHECK(test::contains(error.what(), "task 7 cannot"));
  } catch (const rv::CompositeError& errors) {
    CHECK(errors.failures().size() == parts);
    for (const auto& failure : errors.failures())
      CHECK(test::contains(test::held<rv::ImpossibleDependency>(failure.error).what(), "task 7 cannot"));
  } catch (const rv::Error& error) {
    FAIL_CHECK(error.what());
  }
}

// Every verb of a direct view, and what comes after them in turn.
template <class View>
auto submit_every_verb(const View& view, std::vector<double>& into) {
  const std::string name = "kept";
  const std::size_t longer = 100'000;
  const auto lambda = [](const std::string& a, const std::string& b) { return a + b; };
  const auto scattered = view.scatter("out", count_up(longer));
  return std::tuple(
      scattered, view.scatter("out", std::vector<std::string>(longer, "x")),
      view.scatter("out", count_up(longer), {.dist = rv::round_robin}), view.push("out", 1), view.push("out", count_up(longer)),
      view.push("out", std::vector<std::string>(longer, "x")), view.template pull<std::vector<double>>(name), view.erase(name),
      view.clear(), view.contains(name), view.names(), view.template gather<double>(name), view.template gather<std::string>("words"),
      view.gather_into(name, into), view.template reduce<std::vector<double>>(name, std::plus<>()),
      view.template reduce<double>("number", std::plus<>()), view.template reduce<std::string>("word", lambda),
      view.template reduce_all<double>(name, std::plus<>()), view.template reduce_all<double>(name, rv::max),
      view.template allreduce<std::vector<double>>(name, "out", std::plus<>()), view.template allgather<double>(name),
      view.broadcast(view.targets().front(), name), view.barrier(), view.apply(whose),
      view.apply([](const boost::mpi::communicator& engines) { return engines.size(); }), view.with({.after = scattered}).barrier());
}

template <class Results>
void check_all_impossible(const Results& results, std::size_t parts) {
  std::apply([parts](const auto&... result) { (check_impossible(result, parts), ...); }, results);
}

}  // namespace

TEST_CASE("every verb that is to come after a failure fails") {
  everyone().push_sync("kept", count_up(100));
  std::vector<double> into(100);
  const auto parts = static_cast<std::size_t>(engines());
  const auto check = [&](const auto& cause, auto meanwhile) {
    const auto several = submit_every_verb(everyone().with({.after = cause}), into);
    const auto one = submit_every_verb(client()[-1].with({.after = cause}), into);
    const auto map = everyone().with({.after = cause}).map(twice, std::vector<double>(parts, 1.0));
    const auto team = client().team_view(1).with({.after = cause}).apply([](const boost::mpi::communicator&) {});
    meanwhile();
    check_all_impossible(several, parts);
    check_all_impossible(one, 1);
    check_impossible(map, parts);
    check_impossible(team, 1);
  };
  SECTION("that was there before") {
    const auto bad = balanced().apply(fails, 7);
    bad.wait(test::limit);
    check(bad, [] {});
  }
  SECTION("that comes later") {
    test::Gate gate;
    const auto bad = balanced().apply(
        [](const std::string& path) {
          test::Gate::pass(path);
          return fails(7);
        },
        gate.path());
    check(bad, [&gate] { gate.open(); });
  }
  // Nothing of it is left that one could wait for, and no variable has changed.
  CHECK(client().wait(test::limit));
  for (const bool there : everyone().contains_sync("out")) CHECK_FALSE(there);
  CHECK(everyone().gather<double>("kept").get(test::limit).size() == 100 * parts);
  everyone().clear_sync();
}

TEST_CASE("a task follows others to where they ran") {
  const auto view = balanced();
  for (int i = 0; i < 20; ++i) {
    const auto first = view.apply(whose);
    const auto second = view.with({.follow = first}).apply(whose);
    CHECK(second.get(test::limit) == first.get());
  }
  const auto spread = everyone().apply(whose);
  const auto any = view.with({.follow = rv::any_of(spread)}).apply(whose);
  CHECK(any.get(test::limit) < engines());
  const auto all = view.with({.follow = spread}).apply(whose);
  if (engines() == 1) {
    CHECK(all.get(test::limit) == 0);
  } else {
    CHECK_THROWS_AS(all.get(test::limit), rv::ImpossibleDependency);
    const auto elsewhere = view.with({.follow = client()[0].apply(whose), .targets = {1}}).apply(whose);
    CHECK_THROWS_AS(elsewhere.get(test::limit), rv::ImpossibleDependency);
  }
}

TEST_CASE("a result is an argument of another task", "[forward]") {
  const auto view = balanced();
  const auto x = view.apply(twice, 1.5);
  const auto y = view.apply(twice, x);
  const auto numbers = view.map(twice, std::vector{1.0, 2.0, 3.0});
  const auto sum = view.apply(
      [](const std::vector<double>& v, double offset, const std::string& label) {
        return label + std::to_string(static_cast<int>(std::accumulate(v.begin(), v.end(), offset)));
      },
      numbers, y, "sum ");
  CHECK(y.get(test::limit) == 6);
  CHECK(sum.get(test::limit) == "sum 18");
  CHECK(client()[0].apply(twice, y).get(test::limit) == 12);
  CHECK(everyone().apply(twice, y).get(test::limit) == std::vector<double>(client().size(), 12));
  CHECK(view.apply_sync(twice, y) == 12);
  // One that is large, and a generic callable.
  const auto large = view.apply([] { return std::vector<double>(100'000, 0.5); });
  const auto size = view.apply([](const auto& v) { return v.size(); }, large);
  const auto total = view.apply([](std::vector<double> v) { return std::accumulate(v.begin(), v.end(), 0.0); }, large);
  CHECK(size.get(test::limit) == 100'000);
  CHECK(total.get(test::limit) == 50'000);
  const auto bad = view.apply(fails, 1);
  CHECK_THROWS_AS(view.apply(twice, bad).get(test::limit), rv::ImpossibleDependency);
  // One that rank 0 makes itself.
  const auto thrice = y.then([](double v) { return v / 2 * 3; });
  CHECK(view.apply(twice, thrice).get(test::limit) == 18);
  CHECK(view.with({.after = rv::when_all(x, y)}).apply(twice, 1).get(test::limit) == 2);
  // The handle may go before the argument is there.
  auto slow = view.apply(
      [](double v) {
        std::this_thread::sleep_for(10ms);
        return v;
      },
      3.0);
  const auto late = view.apply(twice, std::move(slow));
  CHECK(late.get(test::limit) == 6);
}

TEST_CASE("a long result is an argument where it was made", "[forward]") {
  constexpr std::size_t size = 20'000;
  const auto view = balanced();
  for (int from = 0; from < engines(); ++from) {
    const auto made = client()[from].apply(count_up, size);
    made.wait(test::limit);
    // Nobody has anything to do, so the task runs there, and may change what it got: that is a copy.
    const auto changed = view.apply(
        [](std::vector<double> numbers) {
          numbers.back() = -1;
          return rv::this_engine::id() + 1000.0 * numbers.back();
        },
        made);
    CHECK(changed.get(test::limit) == from - 1000.0);
    const auto looked = view.apply(last, made);
    CHECK(looked.get(test::limit) == size - 1.0);
    CHECK(looked.metadata().engine == from);
    CHECK(looked.metadata().attempt == 1);
    // Elsewhere, too.
    for (int to = 0; to < engines(); ++to) CHECK(client()[to].apply(last, made).get(test::limit) == size - 1.0);
  }
  CHECK(test::alive());
}

TEST_CASE("a long result suits any parameter that it would suit as a value", "[forward]") {
  const auto view = balanced();
  const auto numbers = view.apply(count_up, 10'000);
  const auto text = view.apply([] { return std::string(100'000, 'x') + "!"; });
  CHECK(view.apply([](std::span<const double> v) { return v[9'999]; }, numbers).get(test::limit) == 9'999);
  CHECK(view.apply([](std::span<double> v) { return v[9'999] += 1; }, numbers).get(test::limit) == 10'000);
  CHECK(view.apply([](std::vector<double>&& v) { return v[9'999]; }, numbers).get(test::limit) == 9'999);
  CHECK(view.apply([](const auto& v, const auto& t) { return v.back() + static_cast<double>(t.size()); }, numbers, text).get(test::limit) ==
        110'000);
  CHECK(view.apply([](std::string_view t) { return t.back(); }, text).get(test::limit) == '!');
  CHECK(
      view.apply([](const std::string& t, const std::vector<double>& v) { return t.size() + v.size(); }, text, numbers).get(test::limit) ==
      110'001);
  // Twice the same, and what is made of it.
  const auto sum = view.apply(
      [](const std::vector<double>& a, const std::vector<double>& b) {
        std::vector<double> c = a;
        std::transform(c.begin(), c.end(), b.begin(), c.begin(), std::plus<>());
        return c;
      },
      numbers, numbers);
  CHECK(view.apply(last, sum).get(test::limit) == 2 * 9'999);
  CHECK(everyone().apply(last, numbers).get(test::limit) == std::vector<double>(client().size(), 9'999));
}

TEST_CASE("a long result that its engine has no room for any more comes from rank 0", "[forward]") {
  constexpr std::size_t size = std::size_t{1} << 20;  // 8 MiB
  const auto first = client()[0].apply(count_up, size);
  first.wait(test::limit);
  for (int i = 0; i < 17; ++i) client()[0].apply(count_up, size).get(test::limit);
  const auto late = balanced().apply(last, first);
  CHECK(late.get(test::limit) == size - 1.0);
  CHECK(late.metadata().attempt == 1);
  CHECK(client()[0].apply(last, first).get(test::limit) == size - 1.0);
}

TEST_CASE("a long result is an argument of what several engines run together", "[forward]") {
  constexpr std::size_t size = std::size_t{1} << 20;
  const auto first = client()[0].apply(count_up, size);
  first.wait(test::limit);
  const auto together = [](const boost::mpi::communicator& comm, const std::vector<double>& numbers) {
    return boost::mpi::all_reduce(comm, numbers.back(), std::plus<>());
  };
  const auto check = [&] {
    const std::vector<double> sums = everyone().apply(together, first).get(test::limit);
    CHECK(sums == std::vector<double>(client().size(), (size - 1.0) * engines()));
    CHECK(client().team_view(engines()).apply(together, first).get(test::limit) == (size - 1.0) * engines());
    CHECK(everyone().apply(last, first).get(test::limit) == std::vector<double>(client().size(), size - 1.0));
  };
  check();
  // Its engine has no room for it any more.
  for (int i = 0; i < 17; ++i) client()[0].apply(count_up, size).get(test::limit);
  check();
}

TEST_CASE("a task that fails where its long argument is finds it elsewhere", "[forward]") {
  if (engines() == 1) return;
  const auto made = client()[0].apply(count_up, 10'000);
  made.wait(test::limit);
  const auto result = balanced()
                          .with({.retries = 1})
                          .apply(
                              [](const std::vector<double>& v) {
                                if (rv::this_engine::id() == 0) throw std::runtime_error("not here");
                                return v.back();
                              },
                              made);
  CHECK(result.get(test::limit) == 9'999);
  CHECK(result.metadata().attempt == 2);
}

TEST_CASE("dependencies that cannot be") {
  const auto view = balanced();
  const auto any = view.apply(twice, 1);
  CHECK_THROWS_AS(view.with({.after = rv::TaskId{any.task_ids()[0].call + 1000, 0}}).apply(twice, 1), rv::InvalidDependency);
  CHECK_THROWS_AS(view.with({.after = rv::TaskId{any.task_ids()[0].call, 1}}).apply(twice, 1), rv::InvalidDependency);
  // Its own number would be the next.
  CHECK_THROWS_AS(view.with({.after = rv::TaskId{any.task_ids()[0].call + 1, 0}}).apply(twice, 1), rv::InvalidDependency);
  rv::Dependency neither = any;
  neither.success = false;
  CHECK_THROWS_AS(view.with({.after = neither}).apply(twice, 1), rv::UsageError);
  const auto gone = view.apply(twice, 1).task_ids()[0];
  client().wait(test::limit);
  CHECK_THROWS_AS(view.with({.after = gone}).apply(twice, 1), rv::InvalidDependency);
  CHECK_THROWS_AS(client()[0].with({.retries = 1}).apply(whose), rv::UsageError);
  CHECK_THROWS_AS(view.with({.retries = -1}).apply(whose), rv::UsageError);
  CHECK_THROWS_AS(view.with({.targets = {engines()}}).apply(whose), std::out_of_range);
  CHECK(view.with({.after = {}}).apply(twice, 1).get(test::limit) == 2);
  CHECK(test::alive());
}

TEST_CASE("a random graph of tasks runs in an order that it allows") {
  const std::uint32_t seed = test::seed("dependencies");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  everyone()["order"] = std::vector<int>();
  constexpr int count = 2000;
  std::vector<rv::AsyncResult<std::int64_t>> tasks;
  std::vector<std::vector<int>> needs(count);
  const auto begun = [](int) { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  for (int i = 0; i < count; ++i) {
    rv::Dependency after;
    for (int k = 0; k < 3 && i > 0; ++k) {
      const int on = static_cast<int>(random() % static_cast<unsigned>(i));
      needs[static_cast<std::size_t>(i)].push_back(on);
      after.add(tasks[static_cast<std::size_t>(on)]);
    }
    tasks.push_back(balanced().with({.after = after}).apply(begun, i));
  }
  for (int i = 0; i < count; ++i) {
    for (const int on : needs[static_cast<std::size_t>(i)])
      CHECK(tasks[static_cast<std::size_t>(i)].get(test::limit) >= tasks[static_cast<std::size_t>(on)].get(test::limit));
  }
}

TEST_CASE("a long chain that fails does so without a deep stack") {
  // Where every allocation notes where it was made, fewer do.
  constexpr int links = test::sanitized ? 10'000 : 100'000;
  test::Gate gate;
  const auto view = balanced();
  const auto cause = view.apply(
      [](const std::string& path) {
        test::Gate::pass(path);
        throw std::runtime_error("no");
        return 1.0;
      },
      gate.path());
  std::vector<rv::AsyncResult<double>> chain{cause};
  for (int i = 0; i < links; ++i) chain.push_back(view.with({.after = chain.back()}).apply(twice, 1));
  gate.open();
  const auto error = test::thrown<rv::ImpossibleDependency>([&] { chain.back().get(test::limit); });
  CHECK(error.chain().size() == static_cast<std::size_t>(links));
  for (const auto& link : chain) static_cast<void>(link.successful());
}
