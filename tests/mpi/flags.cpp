// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

int fails(int) { throw std::runtime_error("on purpose"); }

int itself(int n) { return n; }

bool never() { return false; }

rv::Flags add(rv::Flags to, rv::Flags more) {
  to.add(std::move(more));
  return to;
}

static_assert(std::is_aggregate_v<rv::Flags>);

// How often it was tried, under which label and on which engine, of a task that fails.
struct Tried {
  int attempts;
  std::string label;
  int engine;

  explicit Tried(const rv::LoadBalancedView& view) {
    const auto result = view.apply(fails, 1);
    REQUIRE(result.wait(test::limit));
    CHECK_FALSE(result.successful());
    attempts = result.metadata().attempt;
    label = result.metadata().label;
    engine = result.metadata().engine;
  }
};

}  // namespace

TEST_CASE("with() adds flags to those that the view has") {
  const int last = engines() - 1;
  const auto labelled = balanced().with({.label = "once"});
  const auto patient = labelled.with({.retries = 2, .targets = {last}});
  const Tried first(patient);
  CHECK(first.attempts == 3);
  CHECK(first.label == "once");
  CHECK(first.engine == last);

  // What is named takes the place of what was there, and the view that it was made of is as it was.
  const Tried second(patient.with({.retries = 0, .label = "twice"}));
  CHECK(second.attempts == 1);
  CHECK(second.label == "twice");
  CHECK(second.engine == last);
  CHECK(Tried(patient).attempts == 3);
  CHECK(Tried(patient.with({})).attempts == 3);
  CHECK(Tried(labelled).attempts == 1);
  CHECK(Tried(labelled).label == "once");
  CHECK(Tried(balanced()).label.empty());
}

TEST_CASE("with() adds flags on direct views, engine views and teams, too") {
  const auto all = everyone().with({.label = "direct"}).with({.timeout = 60s}).with({.queue_timeout = 60s});
  CHECK(all.apply(itself, 1).metadata().label == "direct");
  test::thrown<rv::UsageError>([&] { all.barrier(); });  // which has no use for the timeout
  CHECK(all.with({.timeout = {}}).barrier().metadata().label == "direct");

  const auto one = client()[0].with({.label = "one"}).with({.queue_timeout = 60s});
  CHECK(one.apply(itself, 1).metadata().label == "one");

  const auto team = client().team_view(1).with({.label = "team"}).with({.priority = 1});
  CHECK(team.apply([](const boost::mpi::communicator&) {}).metadata().label == "team");
}

TEST_CASE("an empty pair of braces gives a flag its default back") {
  const auto failed = balanced().apply([]() -> int { throw std::runtime_error("on purpose"); });
  const auto strange =
      balanced().with({.chunksize = 3, .ordered = false, .retries = 5, .label = "strange", .after = failed, .depend = never});
  test::thrown<rv::ImpossibleDependency>([&] { strange.apply(itself, 1).get(test::limit); });
  test::thrown<rv::ImpossibleDependency>([&] { strange.with({.after = {}}).apply(itself, 1).get(test::limit); });
  const auto plain = strange.with({.chunksize = {}, .ordered = {}, .retries = {}, .label = {}, .after = {}, .depend = {}});
  const auto result = plain.map(itself, std::vector{1, 2, 3});
  CHECK(result.get(test::limit) == std::vector{1, 2, 3});
  CHECK(result.metadata().label.empty());
  std::vector<int> read;
  for (const int n : result) read.push_back(n);
  CHECK(read == std::vector{1, 2, 3});
  CHECK(test::contains(test::thrown<rv::UsageError>([&] { strange.with({.chunksize = 0}).map(itself, std::vector{1}); }).what(),
                       "chunksize"));
  failed.wait();
  CHECK_FALSE(failed.successful());
}

TEST_CASE("every flag is taken on, and knows whether it was given") {
  const auto a = balanced().apply(itself, 1);
  const rv::Flags none;
  CHECK_FALSE(none.chunksize.given());
  CHECK(none.chunksize == 1);
  CHECK(none.ordered);
  const rv::Flags given{.chunksize = 2,
                        .ordered = false,
                        .retries = 3,
                        .timeout = 4s,
                        .queue_timeout = 5ms,
                        .priority = -6,
                        .label = "seven",
                        .after = {a, a.task_ids().front()},
                        .follow = rv::ended(a),
                        .targets = {0},
                        .depend = never,
                        .hwm = 8,
                        .policy = rv::Policy::lru};
  for (const rv::Flags& flags : {given, add(none, given), add(given, none), add({.chunksize = 9, .label = "other", .hwm = 1}, given)}) {
    CHECK(flags.chunksize == 2);
    CHECK_FALSE(flags.ordered);
    CHECK(flags.retries == 3);
    CHECK(flags.timeout.value() == 4s);
    CHECK(flags.queue_timeout.value() == 5ms);
    CHECK(flags.priority == -6);
    CHECK(flags.label.value() == "seven");
    CHECK(flags.after.value().tasks().size() == 2);
    CHECK(flags.follow.value().failure);
    CHECK(flags.targets.value() == std::vector{0});
    CHECK(flags.depend.value().function() == never);
    CHECK(flags.hwm == 8);
    CHECK(flags.policy == rv::Policy::lru);
  }
  CHECK(add(given, {.retries = {}}).retries == 0);
  CHECK(add(given, {.ordered = {}}).ordered);
}

TEST_CASE("a flag can be given bit by bit") {
  rv::Flags flags;
  flags.targets->push_back(engines() - 1);
  CHECK(flags.targets.given());
  flags.label->append("bit ").append("by bit");
  const auto result = balanced().with(flags).apply(itself, 1);
  CHECK(result.get(test::limit) == 1);
  CHECK(result.metadata().engine == engines() - 1);
  CHECK(result.metadata().label == "bit by bit");
}

TEST_CASE("flags are given what they were given before") {
  const auto a = balanced().apply(itself, 1);
  const auto b = balanced().apply([](const std::string& s) { return s; }, "b");
  const int size = 2;
  const std::vector<int> targets{0};
  const std::string label = "label";
  const auto view = balanced().with({.chunksize = size, .label = label, .after = rv::any_of({a, b}), .targets = targets});
  CHECK(view.map(itself, std::vector{1, 2, 3}).get(test::limit) == std::vector{1, 2, 3});
  CHECK(balanced().with({.after = {a, b}}).apply(itself, 4).get(test::limit) == 4);
  CHECK(balanced().with({.after = {a}, .follow = a}).apply(itself, 5).get(test::limit) == 5);
  CHECK(balanced().with({.after = a.task_ids()}).apply(itself, 6).get(test::limit) == 6);
  CHECK(balanced().with({.depend = [] { return true; }}).apply(itself, 7).get(test::limit) == 7);
  CHECK(balanced().with({.targets = {engines() - 1}}).apply([] { return rv::this_engine::id(); }).get(test::limit) == engines() - 1);
}
