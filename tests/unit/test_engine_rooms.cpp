// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/loop.hpp"
#include "engine/run_end.hpp"
#include "engine/runs.hpp"
#include "engine/teams.hpp"
#include "rooms.hpp"

#include <rankview/errors.hpp>

#include <chrono>
#include <functional>
#include <vector>

using namespace rankview::engine;
using namespace std::chrono_literals;
namespace wire = rankview::wire;

namespace {

// Says what it is told to say.
struct SetTime final : rankview::transport::TimeSource {
  std::int64_t time = 1'000;

  [[nodiscard]] std::int64_t now() const override { return time; }
  void nap(std::chrono::nanoseconds pause) override { time += pause.count(); }
  void sleep(std::chrono::nanoseconds pause) override { nap(pause); }
  std::size_t start(std::function<void()>) override { return 0; }
  void join(std::size_t) override {}
};

}  // namespace

TEST_CASE("an item stops when somebody wants it to, or its time is over", "[engine_rooms]") {
  SetTime source;
  const rankview::transport::Clock clock(source);
  Runs runs;
  runs.show(false);
  CHECK_FALSE(runs.stop_due(clock));
  runs.want_stop();
  CHECK(runs.stop_due(clock));
  CHECK_FALSE(runs.overdue(clock));

  runs->deadline = 2'000;
  runs.show(false);
  CHECK_FALSE(runs.stop_due(clock));
  source.time = 2'001;
  CHECK(runs.overdue(clock));
  CHECK(runs.stop_due(clock));
  runs.end_deadline();
  CHECK_FALSE(runs.stop_due(clock));
}

TEST_CASE("whoever has asked for a stop token is told once that is due", "[engine_rooms]") {
  SetTime source;
  const rankview::transport::Clock clock(source);
  Runs runs;
  runs.want_stop();
  CHECK_FALSE(runs.due_stop(clock).stop_possible());
  runs->stop_source.emplace();
  const std::stop_token token = runs->stop_source->get_token();
  runs.show(false);
  CHECK_FALSE(runs.due_stop(clock).stop_possible());
  runs.want_stop();
  CHECK_FALSE(token.stop_requested());
  runs.due_stop(clock).request_stop();
  CHECK(token.stop_requested());
}

TEST_CASE("an item that waits for a subtask is there again behind those that ran meanwhile", "[engine_rooms]") {
  SetTime source;
  const rankview::transport::Clock clock(source);
  Runs runs;
  runs->call = 1;
  runs->item = 3;
  runs->end = 10;
  runs->deadline = 500;
  runs.show(false);
  CHECK(runs.overdue(clock));
  CHECK(runs.suspended_items() == 0);
  {
    ItemRun second;
    runs.begin_nested(second);
    runs.show(false);
    CHECK(runs->call == 0);
    CHECK_FALSE(runs.overdue(clock));
    // The one that waits, those behind it in its batch, and those that were folded with it.
    CHECK(runs.suspended_items() == 7);
    second.end = 2;
    second.folded_items.resize(3);
    ItemRun third;
    runs.begin_nested(third);
    CHECK(runs.suspended_items() == 7 + 2 + 3);
    runs.end_nested();
    runs.end_nested();
  }
  runs.show(false);
  CHECK(runs->call == 1);
  CHECK(runs.overdue(clock));
  CHECK(runs.suspended_items() == 0);
}

TEST_CASE("tasks that wait for each other have a limit, of stack and of number", "[engine_rooms]") {
  Runs runs;
  CHECK_NOTHROW(runs.check_depth(2, 0));
  CHECK_THROWS_AS(runs.check_depth(2, std::size_t{1} << 40), rankview::UsageError);
  std::vector<ItemRun> nested(1'000);
  for (ItemRun& each : nested) runs.begin_nested(each);
  CHECK_THROWS_AS(runs.check_depth(2, 0), rankview::UsageError);
  runs.end_nested();
  CHECK_NOTHROW(runs.check_depth(2, 0));
}

TEST_CASE("how a run ends is known from when rank 0 has said so, until it is taken", "[engine_rooms]") {
  RunEnd end;
  CHECK_FALSE(end.known());
  CHECK_FALSE(end.client_failed());
  wire::End said;
  said.ending = wire::Ending::failed;
  said.reason = "no reason";
  end.note(said, 1'000);
  CHECK(end.known());
  CHECK(end->reason == "no reason");
  CHECK_FALSE(end.client_failed_since(500ns, 1'500));
  CHECK(end.client_failed_since(500ns, 1'501));
  CHECK(end.take().reason == "no reason");
  CHECK_FALSE(end.known());
  said.ending = wire::Ending::completed;
  end.note(said, 1'000);
  CHECK(end.known());
  CHECK_FALSE(end.client_failed_since(500ns, 1'000'000));
}

TEST_CASE("a team is broken when one of its engines has died, before it is joined or behind that", "[engine_rooms]") {
  Teams teams;
  teams.join(1, {0, 1});
  teams.join(2, {1, 2});
  CHECK_FALSE(teams.any_broken());
  teams.lose(0);
  CHECK(teams.broken(1));
  CHECK_FALSE(teams.broken(2));
  teams.join(3, {0, 2});
  CHECK(teams.broken(3));
  teams.disband(1);
  CHECK_FALSE(teams.broken(1));
  CHECK(teams.dead().contains(0));
}

TEST_CASE("a team is made in the turn that it was given", "[engine_rooms]") {
  Teams teams;
  teams.join(4, {0, 1});
  CHECK_FALSE(teams.may_make(4));
  teams.give_turn(4, 17);
  CHECK(teams.may_make(4));
  CHECK(teams.begin_making(4) == 17);
  CHECK_FALSE(teams.may_make(4));
  // Should one of it die now, what is being made never comes about.
  CHECK_FALSE(teams.broken_for(0, 1'000));
  teams.lose(1);
  CHECK(teams.broken_for(0, 1'000) == 0);
  CHECK(teams.broken_for(0, 1'700) == 700);
  teams.made(4, nullptr);
  CHECK_FALSE(teams.broken_for(0, 1'800));
  // While its task runs it counts as well, from when that was first seen.
  CHECK(teams.broken_for(4, 2'000) == 0);
}

TEST_CASE("what the loop waits for is told, and what it waited for before that", "[engine_rooms]") {
  Loop loop{rankview::transport::IdleLimits{}};
  CHECK(std::string(loop.waits_for()) == "messages");
  {
    const Loop::WaitingFor outer(loop, "a team");
    {
      const Loop::WaitingFor inner(loop, "an attachment");
      CHECK(std::string(loop.waits_for()) == "an attachment");
    }
    CHECK(std::string(loop.waits_for()) == "a team");
  }
  CHECK(std::string(loop.waits_for()) == "messages");
  CHECK_FALSE(loop.in_this_thread());
  loop.begin();
  CHECK(loop.in_this_thread());
  CHECK(loop.look_due(50'000));
  loop.note_look(1'000);
  CHECK_FALSE(loop.look_due(50'999));
  CHECK(loop.look_due(51'000));
}
