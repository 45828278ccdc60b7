// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/engines.hpp"
#include "rooms.hpp"

#include <rankview/errors.hpp>

#include <variant>

using rankview::controller::Engines;
namespace wire = rankview::wire;

namespace {

// Engine 0 is peer 4, engine 1 is peer 2.
struct Roster {
  unit::TestEndpoint endpoint;
  Engines engines{endpoint, {{.peer = 4, .rank = 4, .host = "a"}, {.peer = 2, .rank = 2, .host = "b"}}};
};

}  // namespace

TEST_CASE("engines are known by their peers", "[engines]") {
  Roster roster;
  CHECK(roster.engines.count() == 2);
  CHECK(roster.engines.by_peer(4) == 0);
  CHECK(roster.engines.by_peer(2) == 1);
  CHECK(roster.engines[1].host == "b");
  for (const int stranger : {-1, 0, 1, 3, 5}) CHECK_THROWS_AS(roster.engines.by_peer(stranger), rankview::DecodeError);
}

TEST_CASE("what is written to an engine travels together", "[engines]") {
  Roster roster;
  roster.engines.send_all();
  CHECK(roster.endpoint.sent.empty());
  wire::write(roster.engines.to(1), wire::DropCallable{7});
  wire::write(roster.engines.to(0), wire::DropCallable{8});
  wire::write(roster.engines.to(1), wire::DropCallable{9});
  roster.engines.send(1);
  REQUIRE(roster.endpoint.sent.size() == 1);
  CHECK(roster.endpoint.sent[0].first == 2);
  unit::Reader in(unit::records_of(roster.endpoint.sent[0].second));
  CHECK(std::get<wire::DropCallable>(wire::read(in)).call == 7);
  CHECK(std::get<wire::DropCallable>(wire::read(in)).call == 9);
  CHECK(in.done());
  // What was sent already is not sent again.
  roster.engines.send_all();
  roster.engines.send_all();
  REQUIRE(roster.endpoint.sent.size() == 2);
  CHECK(roster.endpoint.sent[1].first == 4);
}

TEST_CASE("a run is over when each engine has left once", "[engines]") {
  Roster roster;
  CHECK_FALSE(roster.engines.all_left());
  roster.engines.left(1);
  CHECK_FALSE(roster.engines.all_left());
  CHECK_THROWS_AS(roster.engines.left(1), rankview::DecodeError);
  roster.engines.left(0);
  CHECK(roster.engines.all_left());
}
