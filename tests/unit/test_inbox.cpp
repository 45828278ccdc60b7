// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "../marked.hpp"
#include "engine/inbox.hpp"
#include "rooms.hpp"

#include <cstring>

using namespace rankview::engine;
namespace wire = rankview::wire;

namespace {

wire::Batch batch(std::uint64_t call, std::uint64_t first, std::uint64_t count, bool movable = true, std::uint64_t team = 0) {
  wire::Batch made;
  made.call = call;
  made.first = first;
  made.count = count;
  made.movable = movable;
  made.team = team;
  return made;
}

void push(Inbox& inbox, const wire::Batch& made) { inbox.push({made, std::make_shared<InMessage>()}); }

ItemRun running(std::uint64_t call, std::uint64_t item, std::uint64_t end) {
  ItemRun run;
  run.call = call;
  run.item = item;
  run.end = end;
  run.movable = true;
  return run;
}

}  // namespace

TEST_CASE("what has not begun is given back", "[inbox]") {
  Inbox inbox;
  push(inbox, batch(7, 10, 10));
  push(inbox, batch(8, 0, 5));
  ItemRun run = running(7, 2, 10);
  // The end of what runs, all of one that waits, and nothing of a call that is not here.
  const wire::Returned returned = inbox.give_back({{{7, 0, 10, 0}, {8, 0, 5, 0}, {9, 0, 5, 0}}}, run);
  CHECK(returned.items == std::vector<wire::Items>{{7, 3, 7, 0}, {8, 0, 5, 0}});
  CHECK(run.end == 3);
  REQUIRE_FALSE(inbox.empty());
  const auto left = inbox.pop();
  CHECK(std::get<wire::Batch>(left.what).first == 10);
  CHECK(inbox.empty());
}

TEST_CASE("only the end of a batch is given back, and a chunk as a whole", "[inbox]") {
  Inbox inbox;
  push(inbox, batch(7, 0, 10));
  ItemRun run = running(1, 0, 1);
  CHECK(inbox.give_back({{{7, 0, 5, 0}}}, run).items.empty());
  CHECK(inbox.give_back({{{7, 5, 5, 1}}}, run).items == std::vector<wire::Items>{{7, 5, 5, 1}});
  CHECK(inbox.give_back({{{7, 0, 9, 1}}}, run).items.empty());
}

TEST_CASE("what several run together, or has attachments here, stays", "[inbox]") {
  Inbox inbox;
  push(inbox, batch(7, 0, 4, false));
  const auto attached = std::make_shared<InMessage>();
  attached->attachment_sizes = {100};
  inbox.push({batch(7, 4, 1), attached});
  ItemRun run = running(7, 8, 12);
  run.movable = false;
  CHECK(inbox.give_back({{{7, 0, 12, 0}}}, run).items.empty());
}

TEST_CASE("items that wait for subtasks keep what is behind them until others may have it", "[inbox]") {
  const test::ComesTo rare(rankview::marks::Mark::given_back_by_running_batch);
  Inbox inbox;
  ItemRun outer = running(7, 1, 5);
  ItemRun inner = running(8, 0, 3);
  inner.waiting = &outer;
  CHECK(inbox.give_back({{{7, 0, 5, 0}}}, inner).items == std::vector<wire::Items>{{7, 2, 3, 0}});
  CHECK(outer.end == 2);
  push(inbox, batch(9, 0, 2));
  CHECK(inbox.give_back_all(inner).items == std::vector<wire::Items>{{8, 1, 2, 0}, {9, 0, 2, 0}});
  CHECK(inbox.empty());
}

TEST_CASE("items are stopped in ranges, until all that was here is over", "[inbox]") {
  Inbox inbox;
  inbox.stop({7, 3, 4});
  CHECK_FALSE(inbox.stopped(7, 2, 0));
  CHECK(inbox.stopped(7, 3, 0));
  CHECK(inbox.stopped(7, 6, 0));
  CHECK_FALSE(inbox.stopped(7, 7, 0));
  CHECK_FALSE(inbox.stopped(8, 3, 0));
  inbox.forget_stops();
  CHECK_FALSE(inbox.stopped(7, 3, 0));
}

TEST_CASE("what is stopped may come anew", "[inbox]") {
  Inbox inbox;
  push(inbox, batch(7, 3, 1));
  inbox.stop({7, 3, 1});
  push(inbox, batch(7, 3, 1));
  const std::uint64_t before = inbox.pop().number;
  const std::uint64_t anew = inbox.pop().number;
  CHECK(inbox.stopped(7, 3, before));
  CHECK_FALSE(inbox.stopped(7, 3, anew));
}

TEST_CASE("when the client has failed, only what others need an engine for is left", "[inbox]") {
  Inbox inbox;
  push(inbox, batch(7, 0, 4));
  inbox.push({wire::Join{3, {0, 1}}, nullptr});
  push(inbox, batch(8, 0, 1, false, 3));
  CHECK(inbox.take_batches().size() == 1);
  CHECK(std::holds_alternative<wire::Join>(inbox.pop().what));
  CHECK(std::get<wire::Batch>(inbox.pop().what).call == 8);
}

TEST_CASE("a message that is still needed is not used again", "[inbox]") {
  Inbox inbox;
  const std::vector<std::byte> bytes(8, std::byte{1});
  const auto take = [&] {
    unit::transport::Frame frame;
    frame.peer = 3;
    frame.records = bytes;
    auto message = inbox.take_in(frame);
    CHECK(frame.records.data() == message->bytes.data());
    CHECK(message->frame.peer == 3);
    return message;
  };
  const auto first = take();
  const auto second = take();
  CHECK(first != second);
  CHECK(std::memcmp(first->bytes.data(), bytes.data(), bytes.size()) == 0);
}
