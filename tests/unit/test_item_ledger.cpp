// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/item_ledger.hpp"
#include "rooms.hpp"

#include <rankview/errors.hpp>

#include <stdexcept>

using rankview::Status;
using namespace rankview::controller;

namespace {

struct Rooms {
  unit::TestEndpoint endpoint;
  Engines engines{endpoint, {{.peer = 1, .rank = 1, .host = ""}, {.peer = 2, .rank = 2, .host = ""}}};
  CallRegistry calls;
  UserWork work;
  DependencyGate gate{nullptr, calls};
  ItemLedger ledger{engines, gate, work};

  std::shared_ptr<unit::TestCall> call(std::size_t items, bool sealed = true) {
    auto made = std::make_shared<unit::TestCall>();
    made->spread = rankview::detail::Spread::pool;
    made->life().blocks.emplace_back();
    made->life().blocks.front().count = items;
    made->life().blocks.front().unfinished = items;
    made->life().items.resize(items);
    calls.enlist(made);
    if (sealed) ledger.seal(*made);
    return made;
  }
  void drop(unit::TestCall& call) {
    calls.end(call);
    calls.drop(call);
  }
  static Status status(const unit::TestCall& call, std::size_t item) { return call.life().items[item].status; }
};

}  // namespace

TEST_CASE("an item goes to an engine and ends there", "[item_ledger]") {
  Rooms rooms;
  const auto call = rooms.call(3);
  rooms.ledger.granted(*call, 0, 2, 1);
  CHECK(Rooms::status(*call, 0) == Status::handed_out);
  CHECK(Rooms::status(*call, 2) == Status::waiting);
  CHECK(call->life().items[1].engine == 1);
  CHECK(call->life().items[1].attempts == 1);
  rooms.ledger.finished(*call, 0, Status::completed, nullptr);
  rooms.ledger.finished(*call, 1, Status::failed, std::make_exception_ptr(std::runtime_error("no")));
  CHECK(rooms.engines.account(1).completed == 1);
  CHECK(rooms.engines.account(1).failed == 1);
  CHECK(rooms.ledger.next_over() == nullptr);
  rooms.ledger.granted(*call, 2, 3, 0);
  rooms.ledger.finished(*call, 2, Status::completed, nullptr);
  CHECK(call->life().done());
  CHECK(rooms.ledger.next_over() == call.get());
  CHECK(rooms.ledger.next_over() == nullptr);
  rooms.drop(*call);
}

TEST_CASE("an item comes back unstarted, or is tried again", "[item_ledger]") {
  Rooms rooms;
  const auto call = rooms.call(1);
  rooms.ledger.granted(*call, 0, 1, 0);
  CHECK_THROWS_AS(rooms.ledger.returned(*call, 0, 1), rankview::DecodeError);
  rooms.ledger.returned(*call, 0, 0);
  CHECK(Rooms::status(*call, 0) == Status::waiting);
  CHECK(call->life().items[0].attempts == 0);
  CHECK(call->life().items[0].engine == -1);
  CHECK_THROWS_AS(rooms.ledger.returned(*call, 0, 0), rankview::DecodeError);
  rooms.ledger.granted(*call, 0, 1, 1);
  rooms.ledger.failed(*call, 0);
  CHECK(Rooms::status(*call, 0) == Status::waiting);
  CHECK(call->life().items[0].attempts == 1);
  rooms.ledger.granted(*call, 0, 1, 0);
  CHECK(call->life().items[0].attempts == 2);
  rooms.ledger.finished(*call, 0, Status::completed, nullptr);
  CHECK(rooms.ledger.next_over() == call.get());
  rooms.drop(*call);
}

TEST_CASE("what waits can be given up, and what runs cannot", "[item_ledger]") {
  Rooms rooms;
  const auto call = rooms.call(3);
  rooms.ledger.granted(*call, 0, 1, 0);
  std::vector<std::uint64_t> told;
  rooms.ledger.give_up(*call, Status::aborted, [&told](const rankview::TaskId& task) {
    told.push_back(task.item);
    return std::make_exception_ptr(std::runtime_error("given up"));
  });
  CHECK(told == std::vector<std::uint64_t>{1, 2});
  CHECK(Rooms::status(*call, 0) == Status::handed_out);
  CHECK(Rooms::status(*call, 2) == Status::aborted);
  CHECK(call->life().errors->size() == 2);
  rooms.ledger.finished(*call, 0, Status::completed, nullptr);
  CHECK(rooms.ledger.next_over() == call.get());
  rooms.drop(*call);
}

TEST_CASE("a call is over when it is sealed, whether that or its last item comes last", "[item_ledger]") {
  Rooms rooms;
  const auto early = rooms.call(1, false);
  rooms.ledger.granted(*early, 0, 1, 0);
  rooms.ledger.finished(*early, 0, Status::completed, nullptr);
  CHECK(rooms.ledger.next_over() == nullptr);
  rooms.ledger.seal(*early);
  CHECK(rooms.ledger.next_over() == early.get());
  rooms.ledger.seal(*early);
  CHECK(rooms.ledger.next_over() == nullptr);
  rooms.drop(*early);
  const auto empty = rooms.call(0, false);
  rooms.ledger.seal(*empty);
  CHECK(rooms.ledger.next_over() == empty.get());
  rooms.drop(*empty);
}

TEST_CASE("what folds is not done before it has folded", "[item_ledger]") {
  SharedLock lock;
  Rooms rooms;
  for (const bool sealed_last : {false, true}) {
    const auto call = rooms.call(2, false);
    call->completes = true;
    if (!sealed_last) rooms.ledger.seal(*call);
    rooms.ledger.granted(*call, 0, 2, 0);
    rooms.ledger.finished(*call, 0, Status::completed, nullptr);
    rooms.ledger.finished(*call, 1, Status::completed, nullptr);
    if (sealed_last) rooms.ledger.seal(*call);
    CHECK_FALSE(call->life().done());
    CHECK(call->completed == 0);
    Visit visit(lock, rooms.work);
    visit.run_next_piece();
    CHECK(call->completed == 1);
    CHECK(call->life().done());
    CHECK(rooms.ledger.next_over() == call.get());
    rooms.drop(*call);
  }
}

TEST_CASE("a team's item ends with the last of its engines, and with the first error", "[item_ledger]") {
  Rooms rooms;
  const auto call = rooms.call(1);
  call->spread = rankview::detail::Spread::teams;
  call->life().more.edit().teams = {{0, 1}};
  call->life().more.edit().team_items.edit()[0].pending = 2;
  rooms.ledger.granted(*call, 0, 1, 0);
  rooms.ledger.granted(*call, 0, 1, 1);
  CHECK(call->life().items[0].engine == 0);
  CHECK(call->life().items[0].attempts == 1);
  rooms.ledger.finished(*call, 0, Status::failed, std::make_exception_ptr(std::runtime_error("first")));
  CHECK(Rooms::status(*call, 0) == Status::handed_out);
  rooms.ledger.finished(*call, 0, Status::completed, nullptr);
  CHECK(Rooms::status(*call, 0) == Status::failed);
  CHECK_THROWS_WITH(std::rethrow_exception(call->life().errors->at(0)), "first");
  CHECK(rooms.engines.account(0).failed == 1);
  CHECK(rooms.engines.account(1).failed == 1);
  CHECK(rooms.ledger.next_over() == call.get());
  rooms.drop(*call);
}
