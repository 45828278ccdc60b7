// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <boost/mpi/communicator.hpp>

#include <malloc.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;

namespace {

std::vector<int> where(const rv::DirectView& view) { return view.apply(rv::this_engine::id).get(test::limit); }

// As Python does it, by counting.
std::vector<int> sliced(std::optional<int> start, std::optional<int> stop, int step) {
  const int q = engines();
  std::vector<int> ids;
  const auto at = [q](int n) { return n < 0 ? n + q : n; };
  if (step > 0) {
    for (int i = 0; i < q; ++i) {
      const int first = start ? std::max(0, at(*start)) : 0;
      if (i >= first && (!stop || i < at(*stop)) && (i - first) % step == 0) ids.push_back(i);
    }
  } else {
    for (int i = q - 1; i >= 0; --i) {
      const int first = start ? std::min(q - 1, at(*start)) : q - 1;
      if (i <= first && (!stop || i > at(*stop)) && (first - i) % -step == 0) ids.push_back(i);
    }
  }
  return ids;
}

}  // namespace

TEST_CASE("ids and size") {
  const std::vector<int> ids = client().ids();
  REQUIRE_FALSE(ids.empty());
  CHECK(client().size() == ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(ids[i] == static_cast<int>(i));
  CHECK(everyone().targets() == ids);
  CHECK(everyone().size() == ids.size());
  CHECK(client().direct_view().targets() == ids);
  CHECK(client().load_balanced_view().targets() == ids);
}

TEST_CASE("one engine by its number, from the front or the end") {
  const int q = engines();
  for (int i = 0; i < q; ++i) {
    CHECK(client()[i].id() == i);
    CHECK(client()[i - q].id() == i);
    CHECK(client()[i].targets() == std::vector{i});
    CHECK(client()[i - q].apply_sync(rv::this_engine::id) == i);
  }
}

TEST_CASE("an engine that does not exist") {
  const int q = engines();
  for (const int id : {q, q + 100, -q - 1}) {
    const auto error = test::thrown<std::out_of_range>([&] { static_cast<void>(client()[id]); });
    const std::string what = error.what();
    CHECK(test::contains(what, std::to_string(id)));
    // The ids there are: a list, or from where to where.
    CHECK(test::contains(what, "0"));
    CHECK(test::contains(what, std::to_string(q - 1)));
    CHECK_THROWS_AS(client().direct_view(std::vector{0, id}), std::out_of_range);
    CHECK_THROWS_AS(client().load_balanced_view(std::vector{id}), std::out_of_range);
  }
}

TEST_CASE("an engine named twice is a usage error") {
  CHECK_THROWS_AS((client()[{0, 0}]), rv::UsageError);
  CHECK_THROWS_AS((client()[{0, -engines()}]), rv::UsageError);
  CHECK_THROWS_AS(client().load_balanced_view(std::vector{0, 0}), rv::UsageError);
}

TEST_CASE("results come in the order of the targets as given") {
  CHECK(where(client()[{0}]) == std::vector{0});
  CHECK(where(client()[{-1}]) == std::vector{engines() - 1});
  if (engines() < 2) return;
  CHECK(where(client()[{1, 0}]) == std::vector{1, 0});
  CHECK(where(client()[{-1, 0}]) == std::vector{engines() - 1, 0});
  const std::vector<int> named = {1, 0};
  CHECK(where(client()[named]) == named);
  CHECK(client()[named].targets() == named);
  CHECK(client()[named].size() == 2);
}

TEST_CASE("slices") {
  const std::optional<int> none;
  for (const auto& start : {none, std::optional(0), std::optional(1), std::optional(-1), std::optional(-2), std::optional(5)}) {
    for (const auto& stop : {none, std::optional(0), std::optional(1), std::optional(-1), std::optional(3), std::optional(100)}) {
      for (const int step : {1, 2, 3, -1, -2}) {
        const auto wanted = sliced(start, stop, step);
        CHECK(client()[rv::slice(start, stop, step)].targets() == wanted);
        CHECK(client().load_balanced_view(rv::slice(start, stop, step)).targets() == wanted);
      }
    }
  }
  CHECK(where(client()[rv::slice({}, {}, -1)]) == sliced({}, {}, -1));
  CHECK(where(client()[rv::slice(2)]) == sliced({}, 2, 1));
  CHECK(client()[rv::slice(-100, -50)].size() == 0);
}

TEST_CASE("a view of no engines gives empty results") {
  const rv::DirectView nobody = client()[rv::slice(0, 0)];
  const rv::DirectView none = client()[std::vector<int>()];
  CHECK(none.targets().empty());
  CHECK(none.size() == 0);
  for (const rv::DirectView& view : {nobody, none}) {
    CHECK(view.apply_sync([](int n) { return n; }, 1).empty());
    const auto result = view.apply([](int n) { return n; }, 1);
    CHECK(result.ready());
    CHECK(result.get(0s).empty());
    CHECK(result.size() == 0);
    view.apply_sync([] {});
    view.push_sync("x", 1);
    view["x"] = 2;
    CHECK(view["x"].get<int>().empty());
    CHECK(view.names_sync().empty());
    CHECK(view.map_sync([](int n) { return n; }, std::vector<int>()).empty());
  }
}

TEST_CASE("where somebody is needed, a view of no engines says that there is nobody") {
  const std::vector<int> none;
  const auto number = [](int n) { return n; };
  const auto refused = [](const auto& action) {
    CHECK(test::contains(test::thrown<rv::UsageError>([&] { action(); }).what(), "the view has no engines"));
  };
  const rv::DirectView nobody = client()[none];
  const rv::LoadBalancedView pool = client().load_balanced_view(none);
  refused([&] { nobody.map(number, std::vector{1, 2, 3}); });
  refused([&] { nobody.map_sync(number, std::vector{1, 2, 3}); });
  refused([&] { static_cast<void>(nobody.imap(number, std::vector{1, 2, 3})); });
  refused([&] { nobody.scatter("x", std::vector{1, 2, 3}); });
  refused([&] { nobody.scatter_sync("x", std::vector<std::string>{"text"}); });
  refused([&] { nobody.reduce<int>("x", std::plus<>()); });
  refused([&] { nobody.reduce_all_sync<int>("x", std::plus<>()); });
  refused([&] { pool.apply(number, 1); });
  refused([&] { pool.apply_sync(number, 1); });
  refused([&] { pool.apply(number, balanced().apply(number, 1)); });
  refused([&] { pool.map(number, std::vector{1}); });
  refused([&] { pool.with({.chunksize = 2}).map_sync(number, std::vector{1}); });
  refused([&] { pool.map_reduce(number, std::plus<>(), std::vector{1}); });
  refused([&] { static_cast<void>(pool.imap_unordered(number, std::vector{1})); });
  // Of nothing there is nothing to do.
  CHECK(nobody.map_sync(number, none).empty());
  CHECK(pool.map_sync(number, none).empty());
  nobody.scatter_sync("x", none);
  CHECK(nobody.gather_sync<int>("x").empty());
  CHECK(nobody.gather_sync<std::string>("x").empty());
  nobody.allreduce_sync<int>("x", "y", std::plus<>());
  nobody.allgather_sync<int>("x", "y");
  nobody.barrier_sync();
  CHECK(client().wait(test::limit));
  CHECK(test::alive());
}

TEST_CASE("views are values") {
  rv::DirectView view = client()[{0}];
  const rv::DirectView copy = view;
  view = everyone();
  CHECK(copy.targets() == std::vector{0});
  CHECK(view.targets() == client().ids());
  const rv::Client other = client();
  CHECK(other.ids() == client().ids());
  const rv::DirectView flagged = view.with({.label = "flagged"});
  CHECK(view.apply([] {}).metadata().label.empty());
  CHECK(flagged.apply([] {}).metadata().label == "flagged");
}

TEST_CASE("a result outlives the view and the handle of the client that made it") {
  std::optional<rv::AsyncResult<std::vector<int>>> result;
  {
    const rv::Client handle = client();
    result = handle.load_balanced_view().map([](int n) { return n; }, std::vector{1, 2, 3});
  }
  CHECK(result->get(test::limit) == std::vector{1, 2, 3});
}

TEST_CASE("waiting for everything, or for some results") {
  const test::Gate gate;
  const auto pass = [](const std::string& path) { test::Gate::pass(path); };
  const auto held = everyone().apply(pass, gate.path());
  const auto more = client().load_balanced_view().map([](int n) { return n; }, std::vector{1, 2});
  CHECK_FALSE(client().wait(10ms));
  CHECK_FALSE(held.ready());
  gate.open();
  client().wait(held, more);
  CHECK(held.ready());
  CHECK(more.ready());
  CHECK(client().wait(test::limit));
  CHECK(client().wait(0s));
  // Also for failed ones, of which it says nothing.
  const auto failing = everyone().apply([] { throw 1; });
  client().wait(failing);
  CHECK_FALSE(failing.successful());
  client().wait();
}

TEST_CASE("a client is iterated over its engines") {
  std::vector<int> ids;
  for (const rv::EngineView& engine : client()) ids.push_back(engine.apply_sync(rv::this_engine::id));
  CHECK(ids == client().ids());
  static_assert(std::input_iterator<rv::Client::iterator>);
  static_assert(std::ranges::input_range<const rv::Client>);
  auto second = client().begin();
  CHECK((*second++).id() == 0);
  CHECK((second == client().end()) == (test::engines() == 1));
}

TEST_CASE("waiting for results and ids, with a time") {
  const test::Gate gate;
  const auto pass = [](const std::string& path) {
    if (!path.empty()) test::Gate::pass(path);
    return 1;
  };
  // What waits for the gate comes last, for a single engine runs them in turn.
  const auto map = client()[0].map(pass, std::vector<std::string>{"", "", gate.path()});
  const auto other = everyone().apply([] { return 2.0; });
  const std::vector<rv::TaskId> ids = map.task_ids();
  client().wait(ids[0]);
  CHECK(client().wait({ids[0], ids[1]}, test::limit));
  CHECK_FALSE(map.ready());
  CHECK_FALSE(client().wait(map, 5ms));
  CHECK_FALSE(client().wait(ids, 5ms));
  CHECK_FALSE(client().wait({other, map}, 5ms));
  CHECK_FALSE(client().wait(std::vector{map, map}, 0s));
  gate.open();
  CHECK(client().wait(map, test::limit));
  CHECK(client().wait(other, test::limit));
  CHECK(client().wait({other, map}, 0s));
  CHECK(client().wait({other, ids}, 0s));
  CHECK(client().wait(std::vector{map, map}, 0s));
  client().wait({map, other});
  client().wait(rv::Dependency());
  // What nobody keeps any more has ended.
  const rv::TaskId gone = everyone().apply([] {}).task_ids()[0];
  CHECK(client().wait(gone, test::limit));
  client().wait();
  CHECK(client().wait(gone, 0s));
  client().abort(gone);
  CHECK_THROWS_AS(client().wait(rv::TaskId{gone.call + 1'000'000, 0}, 1s), rv::UsageError);
  CHECK_THROWS_AS(client().wait(rv::TaskId{0, 0}), rv::UsageError);
  CHECK_THROWS_AS(client().wait(rv::TaskId{ids[0].call, 3}), rv::UsageError);
  CHECK_THROWS_AS(client().wait(rv::AsyncResult<int>(), 1s), rv::UsageError);
  CHECK_THROWS_AS(client().wait({rv::AsyncResult<int>(), other}), rv::UsageError);
}

TEST_CASE("spinning makes progress") {
  const auto result = everyone().apply([](int n) { return n; }, 5);
  for (const auto end = std::chrono::steady_clock::now() + test::limit; !result.ready() && std::chrono::steady_clock::now() < end;)
    client().spin();
  CHECK(result.ready());
}

TEST_CASE("queue_status tells what engines have to do, have done, and hold") {
  test::everyone().clear_sync();
  test::Gate gate;
  const auto before = test::client().queue_status();
  REQUIRE(before.engines.size() == test::client().size());
  const rv::EngineView first = test::client()[0];
  std::vector<rv::AsyncResult<void>> results;
  for (int i = 0; i < 3000; ++i) results.push_back(first.apply(test::Gate::pass, gate.path()));
  const auto failing = first.apply([] { throw std::runtime_error("failed"); });
  const auto status = first.queue_status();
  REQUIRE(status.engines.size() == 1);
  CHECK(status.engines[0].engine == 0);
  CHECK(status.engines[0].handed_out + status.engines[0].waiting == 3001);
  CHECK(status.engines[0].waiting > 0);
  gate.open();
  test::client().wait(test::limit);
  CHECK_FALSE(failing.successful());
  test::everyone()["x"] = std::vector<double>(1000);
  const auto told = [] {
    const auto after = test::client().queue_status();
    for (const auto& engine : after.engines) {
      if (engine.variables != 1 || engine.bytes < 8000) return false;
    }
    return true;
  };
  for (const auto end = std::chrono::steady_clock::now() + test::limit; !told() && std::chrono::steady_clock::now() < end;)
    std::this_thread::sleep_for(1ms);
  CHECK(told());
  const auto after = test::client().queue_status();
  CHECK(after.unassigned == 0);
  CHECK(after.engines[0].waiting + after.engines[0].handed_out == 0);
  CHECK(after.engines[0].completed == before.engines[0].completed + 3001);
  CHECK(after.engines[0].failed == before.engines[0].failed + 1);
  CHECK(test::balanced().queue_status().engines.size() == test::client().size());
}

TEST_CASE("queue_status counts each task once, by how it ended") {
  const auto pool = test::balanced();
  rv::Client& rc = test::client();
  struct Counts {
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    bool operator==(const Counts&) const = default;
  };
  const auto counts = [&rc] {
    Counts sum;
    for (const auto& engine : rc.queue_status().engines) {
      sum.completed += engine.completed;
      sum.failed += engine.failed;
    }
    return sum;
  };
  const auto idle = [&rc] {
    for (const auto& engine : rc.queue_status().engines) {
      if (engine.handed_out != 0) return false;
    }
    return true;
  };
  // What `action` adds to the counts, when the engines have ended all of it.
  const auto added = [&](auto action) {
    const Counts before = counts();
    action();
    rc.wait(test::limit);
    for (const auto end = std::chrono::steady_clock::now() + test::limit; !idle() && std::chrono::steady_clock::now() < end;)
      std::this_thread::sleep_for(1ms);
    const Counts after = counts();
    return Counts{after.completed - before.completed, after.failed - before.failed};
  };
  const auto fails = [] { throw std::runtime_error("always"); };
  CHECK(added([&] { CHECK_THROWS_AS(pool.with({.retries = 3}).apply(fails).get(test::limit), rv::RemoteError); }) == Counts{0, 1});
  const auto at_last = [] {
    static int attempts = 0;
    if (++attempts < 3) throw std::runtime_error("not yet");
  };
  CHECK(added([&] { pool.with({.retries = 3, .targets = {0}}).apply(at_last).get(test::limit); }) == Counts{1, 0});
  // Refusals are no failures, also where there are only those.
  rc[rc.ids()].push_sync("licence", 0);
  rc[-1].push_sync("licence", 1);
  const auto licensed = pool.with({.depend = [] { return rv::this_engine::vars().get<int>("licence") == 1; }});
  CHECK(added([&] {
          for (int i = 0; i < 20; ++i) licensed.apply([] {}).get(test::limit);
        }) == Counts{20, 0});
  const auto never = pool.with({.depend = [] { return false; }});
  CHECK(added([&] { CHECK_THROWS_AS(never.apply([] {}).get(test::limit), rv::ImpossibleDependency); }) == Counts{0, 0});
  // What runs out of time has failed then, whatever comes of it later.
  const auto overtime = [] {
    while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
  };
  CHECK(added([&] { CHECK_THROWS_AS(pool.with({.timeout = 20ms}).apply(overtime).get(test::limit), rv::TimeoutError); }) == Counts{0, 1});
  // What never ran is no engine's.
  const auto bad = pool.apply(fails);
  bad.wait(test::limit);
  CHECK(added([&] { CHECK_THROWS_AS(pool.with({.after = bad}).apply([] {}).get(test::limit), rv::ImpossibleDependency); }) == Counts{0, 0});
  CHECK_FALSE(bad.successful());
  // A team's counts on each of its engines.
  const auto team = rc.team_view(static_cast<int>(rc.size()));
  CHECK(added([&] { team.apply([](const boost::mpi::communicator&) {}).get(test::limit); }) == Counts{rc.size(), 0});
  rc[rv::all].clear_sync();
}

namespace {

// What malloc has given out and not got back.
std::int64_t in_use() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

}  // namespace

TEST_CASE("rank 0 keeps nothing of how tasks that have ended were to be run") {
  // How many engines there are is nothing to rank 0's memory.
  if (test::sanitized || engines() > 1) return;
  const auto pool = test::balanced();
  int priority = 0;
  const auto round = [&](auto view) {
    for (int i = 0; i < 20'000; ++i) {
      static_cast<void>(view().apply([](int n) { return n; }, i));
      if (i % 1000 == 999) test::client().wait(test::limit);
    }
  };
  const auto timed = [&] { return pool.with({.queue_timeout = std::chrono::hours(1)}); };
  const auto urgent = [&] { return pool.with({.priority = ++priority}); };
  // What it takes anyway, then the same again.
  round(timed);
  round(urgent);
  const std::int64_t before = in_use();
  round(timed);
  CHECK(in_use() - before < 128 * 1024);
  round(urgent);
  CHECK(in_use() - before < 384 * 1024);
}
