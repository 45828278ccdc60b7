// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/hub_recorder.hpp"
#include "controller/task_errors.hpp"
#include "rooms.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/detail/callable.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace rankview;

namespace {

// Keeps what it is told.
class Database final : public hub::TaskDatabase {
 public:
  void add(hub::Event event, std::size_t tasks) override {
    events.push_back(std::move(event));
    may_be_left_out.push_back(tasks);
  }
  void flush() override { flushed_behind = events.size(); }
  Table query(const std::string& /*sql*/, const Values& /*values*/) override { return {}; }
  void change(const std::vector<std::string>& /*statements*/, const Values& /*values*/) override {}
  std::int64_t run() override { return 1; }

  // The only event, of that kind.
  template <class Event>
  const Event& only() const {
    REQUIRE(events.size() == 1);
    REQUIRE(std::holds_alternative<Event>(events.front()));
    return std::get<Event>(events.front());
  }

  std::vector<hub::Event> events;
  std::vector<std::size_t> may_be_left_out;
  std::size_t flushed_behind = 0;
};

int half(int n) { return n / 2; }

// With what it takes to run it again: items of one int each, in one block.
void make_keepable(detail::Call& call, const std::vector<int>& arguments) {
  using Sig = detail::Parameters<std::pair<int, int>>;
  call.function = detail::function_for<Sig>(&half);
  call.spread = detail::Spread::pool;
  call.life().code = &detail::shipped_code(call.function.thunk, call.function.code, nullptr);
  detail::ArgumentBlock block;
  block.count = arguments.size();
  block.stride = sizeof(int);
  for (const int argument : arguments) block.data.value(argument);
  call.life().blocks.push_back(std::move(block));
}

// As they are kept: without anything attached.
std::vector<std::byte> kept_bytes(const std::vector<int>& arguments) {
  detail::Writer out;
  for (const int argument : arguments) {
    out.value(std::uint64_t{0});
    out.value(argument);
  }
  const auto bytes = out.bytes.bytes();
  return {bytes.begin(), bytes.end()};
}

struct Rooms {
  std::shared_ptr<Database> database = std::make_shared<Database>();
  HubRecorder recorder;
  std::shared_ptr<unit::TestCall> call = std::make_shared<unit::TestCall>();

  explicit Rooms(std::size_t items, Keep keep = Keep::none) : recorder(database, transport::Clock(), keep) {
    call->id = 9;
    call->life().submitted = 123;
    call->life().items.resize(items);
  }
};

}  // namespace

TEST_CASE("the beginning of a run is on disk before anything runs", "[hub_recorder]") {
  Rooms rooms(0);
  rooms.recorder.run_begins({{.peer = 1, .rank = 1, .host = "near", .pid = 11, .slots = 2}});
  const auto& event = rooms.database->only<hub::RunBegan>();
  REQUIRE(event.engines.size() == 1);
  CHECK(event.engines[0].host == "near");
  CHECK(event.engines[0].pid == 11);
  CHECK(event.engines[0].slots == 2);
  CHECK(event.at > 0);
  CHECK(rooms.database->flushed_behind == 1);
}

TEST_CASE("a call is put down when it is made and when it is over", "[hub_recorder]") {
  Rooms rooms(5);
  rooms.call->life().more.edit().label = "work";
  rooms.recorder.submitted(*rooms.call);
  const auto& made = rooms.database->only<hub::CallMade>();
  CHECK(made.call == 9);
  CHECK(made.label == "work");
  CHECK(made.tasks == 5);
  CHECK(made.submitted == 123);
  rooms.recorder.granted(*rooms.call, 0, 5, 0);  // of which there is nothing to say
  rooms.recorder.over(*rooms.call);
  REQUIRE(rooms.database->events.size() == 2);
  CHECK(std::get<hub::CallOver>(rooms.database->events[1]).call == 9);
  CHECK(rooms.database->may_be_left_out == std::vector<std::size_t>{0, 0});
}

TEST_CASE("tasks that have ended bring their records, and those that failed their errors", "[hub_recorder]") {
  Rooms rooms(6);
  for (std::size_t item = 0; item < 6; ++item) {
    rooms.call->life().items[item].status = item % 2 == 1 ? Status::failed : Status::completed;
    rooms.call->life().items[item].engine = static_cast<int>(item);
  }
  for (const std::uint64_t item : {1U, 3U, 5U})
    rooms.call->life().errors.edit()[item] = std::make_exception_ptr(std::runtime_error("no " + std::to_string(item)));
  rooms.recorder.ended(*rooms.call, 1, 5);
  const auto& event = rooms.database->only<hub::TasksEnded>();
  CHECK(event.call == 9);
  CHECK(event.first == 1);
  REQUIRE(event.records.size() == 4);
  CHECK(event.records[0].engine == 1);
  CHECK(event.records[3].status == Status::completed);
  REQUIRE(event.errors.size() == 2);
  CHECK(event.errors[0].task == 1);
  CHECK(event.errors[1].task == 3);
  CHECK(unit::message_of<std::runtime_error>([&] { std::rethrow_exception(event.errors[1].error); }) == "no 3");
  CHECK(rooms.database->may_be_left_out == std::vector<std::size_t>{4});
}

TEST_CASE("of errors of the program's own only the text goes to the database", "[hub_recorder]") {
  Rooms rooms(1);
  rooms.call->life().items[0].status = Status::failed;
  rooms.call->life().errors.edit()[0] =
      detail::keep(*rooms.call, detail::with_text(std::make_exception_ptr(std::runtime_error("the program's"))));
  rooms.recorder.ended(*rooms.call, 0, 1);
  const auto& event = rooms.database->only<hub::TasksEnded>();
  REQUIRE(event.errors.size() == 1);
  CHECK(event.errors[0].error == nullptr);
  CHECK(event.errors[0].text == "the program's");
}

TEST_CASE("an attempt that failed says how", "[hub_recorder]") {
  Rooms rooms(3);
  rooms.call->life().items[2].attempts = 2;
  rooms.call->life().items[2].engine = 1;
  rooms.call->life().more.edit().attempts.edit()[2].errors = {"the first", "the second"};
  rooms.recorder.retried(*rooms.call, 2);
  const auto& event = rooms.database->only<hub::TaskRetried>();
  CHECK(event.item == 2);
  CHECK(event.attempt == 2);
  CHECK(event.engine == 1);
  CHECK(event.error == "the second");
  CHECK(rooms.database->may_be_left_out == std::vector<std::size_t>{1});
}

TEST_CASE("engines that are lost, and the end", "[hub_recorder]") {
  Rooms rooms(0);
  LostEngine lost;
  lost.engine = 3;
  lost.seen = "its process has ended";
  rooms.recorder.engine_lost(lost);
  lost.aside = true;
  lost.seen = "no sign of life";
  rooms.recorder.engine_lost(lost);
  rooms.recorder.run_ends(true, "the client threw");
  REQUIRE(rooms.database->events.size() == 3);
  CHECK(std::get<hub::EngineLost>(rooms.database->events[0]).seen == "died: its process has ended");
  CHECK(std::get<hub::EngineLost>(rooms.database->events[1]).seen == "set aside: no sign of life");
  CHECK(std::get<hub::RunEnded>(rooms.database->events[2]).failed);
  CHECK(std::get<hub::RunEnded>(rooms.database->events[2]).reason == "the client threw");
}

TEST_CASE("arguments of tasks that failed are kept, and nothing of others", "[hub_recorder]") {
  Rooms rooms(4, Keep::failures);
  make_keepable(*rooms.call, {10, 11, 12, 13});
  rooms.call->life().items[1].engine = 5;
  const std::vector<std::byte> result(4);
  const std::span<const std::byte> value(result);
  rooms.recorder.ending(*rooms.call, 0, &value);
  rooms.recorder.ending(*rooms.call, 1, nullptr);
  rooms.recorder.ending(*rooms.call, 3, nullptr);
  rooms.recorder.ended(*rooms.call, 0, 4);
  const auto& events = rooms.database->events;
  REQUIRE(events.size() == 3);
  const auto& code = std::get<hub::CallKept>(events[0]);
  CHECK(code.call == 9);
  CHECK(code.thunk.place == rooms.call->function.thunk);
  CHECK(code.function.place == reinterpret_cast<const void*>(&half));
  CHECK(code.result == typeid(int).name());
  CHECK_FALSE(code.direct);
  const auto& kept = std::get<hub::TasksKept>(events[1]);
  REQUIRE(kept.tasks.size() == 2);
  CHECK(kept.tasks[0].item == 1);
  CHECK(kept.tasks[0].engine == 5);
  CHECK(kept.tasks[1].item == 3);
  CHECK_FALSE(kept.tasks[1].has_value);
  CHECK(kept.bytes == kept_bytes({11, 13}));
}

TEST_CASE("or all that there is of them", "[hub_recorder]") {
  Rooms rooms(2, Keep::all);
  make_keepable(*rooms.call, {10, 11});
  const std::vector<std::byte> result{std::byte{7}, std::byte{8}};
  const std::span<const std::byte> value(result);
  rooms.recorder.ending(*rooms.call, 1, &value);
  rooms.recorder.ended(*rooms.call, 1, 2);
  const auto& kept = std::get<hub::TasksKept>(rooms.database->events.at(1));
  REQUIRE(kept.tasks.size() == 1);
  CHECK(kept.tasks[0].has_value);
  CHECK(kept.tasks[0].value == 2);
  std::vector<std::byte> expected = kept_bytes({11});
  expected.insert(expected.end(), result.begin(), result.end());
  CHECK(kept.bytes == expected);
}

TEST_CASE("what cannot be run again is not kept", "[hub_recorder]") {
  Rooms rooms(2, Keep::all);
  const std::vector<std::byte> result(4);
  const std::span<const std::byte> value(result);
  rooms.recorder.ending(*rooms.call, 0, &value);  // a call without a thunk of that kind
  make_keepable(*rooms.call, {10, 11});
  rooms.call->communicator = true;
  rooms.recorder.ending(*rooms.call, 0, &value);
  rooms.call->communicator = false;
  rooms.call->life().blocks.front().data = {};  // its result was found in a checkpoint
  rooms.recorder.ending(*rooms.call, 1, &value);
  rooms.recorder.ended(*rooms.call, 0, 2);
  CHECK(rooms.database->only<hub::TasksEnded>().call == 9);
}
