// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"
#include "wire/messages.hpp"

#include <rankview/errors.hpp>

#include <string>
#include <vector>

using namespace unit;
using namespace rankview::wire;
using rankview::DecodeError;

namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* const from = reinterpret_cast<const std::byte*>(text.data());
  return {from, from + text.size()};
}

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Three items of nine bytes.
const std::vector<std::byte> nine_each = bytes_of("111111111222222222333333333");

Batch fixed_batch() {
  return {.thunk = {11, 22},
          .function = {33, 44},
          .call = 5,
          .has_object = true,
          .first = 100,
          .count = 3,
          .stride = 9,
          .items = nine_each,
          .slow = true};
}

std::vector<std::byte> sized_items(const std::vector<std::string>& items) {
  Writer out;
  for (const auto& item : items) {
    out.value(static_cast<std::uint64_t>(item.size()));
    out.raw(item.data(), item.size());
  }
  return {out.bytes.bytes().begin(), out.bytes.bytes().end()};
}

// One of each record.
void write_all(Writer& out) {
  Writer failure;
  write(failure, Failure{FailureKind::name, "rankview::NameError", "no variable"});
  write(out, fixed_batch());
  write(out, CallableState{3, nine_each});
  write(out, DropCallable{77});
  const auto items = sized_items({"a", "", "ccc"});
  write(out, Batch{.thunk = {1, 2}, .function = {}, .call = 9, .count = 3, .items = items});
  ResultsWriter results(out);
  results.add(5, 7, 1000, 2000, false, nine_each);
  results.add(5, 8, 2000, 2500, true, failure.bytes.bytes());
  write(out, End{Ending::failed, 3, "because"});
  write(out, Published{5, 7, "loss", "d", nine_each});
  write(out, Printed{5, 7, nine_each, {}});
  write(out, Stop{5, 6, 7});
  write(out, Recall{{{5, 6, 7, 0}, {8, 9, 10, 1}}});
  write(out, Returned{{{5, 6, 7, 0}}});
  write(out, Overdue{5, 6});
  write(out, Subtask{1, {1, 2}, {3, 4}, 5, 6, 9, nine_each, std::span(nine_each).first(9)});
  write(out, SubtaskResult{1, 0, nine_each});
  write(out, Suspended{3});
  write(
      out,
      Batch{.thunk = {1, 2}, .function = {}, .call = 9, .count = 3, .items = items, .awaits = true, .first_ticket = 7, .holders = {0, 3}});
  write(out, Forward{9, 7, 3});
  write(out, Delivery{7, 1, nine_each});
  write(out, Bye{});
}

// Reads a message to its end, and everything that its records hold.
std::size_t read_all(std::span<const std::byte> message) {
  Reader in(message);
  std::size_t records = 0;
  while (!in.done()) {
    const Record record = read(in);
    ++records;
    if (const auto* batch = std::get_if<Batch>(&record)) {
      ItemCursor cursor(*batch);
      for (std::uint64_t i = 0; i < batch->count; ++i) cursor.next();
    } else if (const auto* results = std::get_if<Results>(&record)) {
      ResultCursor cursor(*results);
      for (std::uint64_t i = 0; i < results->count; ++i) {
        const ItemResult item = cursor.next();
        if (item.failed) {
          Reader value(item.value);
          static_cast<void>(read_failure(value));
        }
      }
    }
  }
  return records;
}

}  // namespace

TEST_CASE("a batch with items of one size", "[messages]") {
  Writer out;
  write(out, fixed_batch());
  Reader in(out.bytes.bytes());
  const auto batch = std::get<Batch>(read(in));
  CHECK(in.done());
  CHECK(batch.thunk == CodeAddress{11, 22});
  CHECK(batch.function == CodeAddress{33, 44});
  CHECK(batch.call == 5);
  CHECK(batch.has_object);
  CHECK(batch.slow);
  CHECK_FALSE((batch.communicator || batch.first_only || batch.flat || batch.movable || batch.keep));
  CHECK(batch.first == 100);
  CHECK(batch.count == 3);
  ItemCursor cursor(batch);
  CHECK(text_of(cursor.next()) == "111111111");
  CHECK(text_of(cursor.next()) == "222222222");
  CHECK(text_of(cursor.next()) == "333333333");
  CHECK_THROWS_AS(cursor.next(), DecodeError);
}

TEST_CASE("what a batch says with yes or no", "[messages]") {
  for (const auto flag :
       {&Batch::has_object, &Batch::communicator, &Batch::first_only, &Batch::flat, &Batch::movable, &Batch::slow, &Batch::keep}) {
    Batch sent = fixed_batch();
    sent.has_object = sent.slow = false;
    sent.*flag = true;
    Writer out;
    write(out, sent);
    Reader in(out.bytes.bytes());
    const auto batch = std::get<Batch>(read(in));
    CHECK(batch.*flag);
    CHECK(batch.has_object + batch.communicator + batch.first_only + batch.flat + batch.movable + batch.slow + batch.keep == 1);
  }
  Writer out;
  write(out, fixed_batch());
  // Before the items and their size.
  const std::size_t flags = out.bytes.size() - nine_each.size() - 2 * sizeof(std::uint64_t);
  out.bytes.data()[flags] |= std::byte{0x80};
  Reader in(out.bytes.bytes());
  CHECK_THROWS_AS(read(in), DecodeError);
}

TEST_CASE("a batch with items of their own sizes", "[messages]") {
  const auto items = sized_items({"one", "", "three"});
  Writer out;
  write(out, Batch{.thunk = {1, 2}, .function = {}, .call = 6, .count = 3, .items = items});
  Reader in(out.bytes.bytes());
  const auto batch = std::get<Batch>(read(in));
  ItemCursor cursor(batch);
  CHECK(text_of(cursor.next()) == "one");
  CHECK(cursor.next().empty());
  CHECK(text_of(cursor.next()) == "three");
}

TEST_CASE("object, forget, end and bye", "[messages]") {
  Writer out;
  write(out, CallableState{3, nine_each});
  write(out, CallableState{6, {}});
  write(out, DropCallable{77});
  write(out, End{Ending::completed, 0, ""});
  write(out, End{Ending::failed, -7, "the client failed"});
  write(out, Bye{});
  Reader in(out.bytes.bytes());
  const auto object = std::get<CallableState>(read(in));
  CHECK(object.call == 3);
  CHECK(text_of(object.state) == text_of(nine_each));
  CHECK(std::get<CallableState>(read(in)).state.empty());
  CHECK(std::get<DropCallable>(read(in)).call == 77);
  const auto well = std::get<End>(read(in));
  CHECK(well.ending == Ending::completed);
  CHECK(well.exit_code == 0);
  const auto badly = std::get<End>(read(in));
  CHECK(badly.ending == Ending::failed);
  CHECK(badly.exit_code == -7);
  CHECK(badly.reason == "the client failed");
  CHECK(std::holds_alternative<Bye>(read(in)));
  CHECK(in.done());
}

TEST_CASE("results that follow each other share a record", "[messages]") {
  Writer out;
  ResultsWriter writer(out);
  writer.add(5, 7, 1000, 2000, false, nine_each);
  writer.add(5, 8, 2000, 2500, true, {});
  writer.add(5, 10, 2500, 2600, false, {});  // not the next item
  writer.add(6, 11, 2600, 2700, false, {});  // another call
  writer.close();
  writer.add(6, 12, 2800, 2900, false, {});  // after a close
  Reader in(out.bytes.bytes());

  const auto first = std::get<Results>(read(in));
  CHECK(first.call == 5);
  CHECK(first.first == 7);
  CHECK(first.count == 2);
  CHECK(first.started == 1000);
  ResultCursor cursor(first);
  const ItemResult good = cursor.next();
  CHECK(good.completed == 2000);
  CHECK_FALSE(good.failed);
  CHECK(text_of(good.value) == text_of(nine_each));
  const ItemResult bad = cursor.next();
  CHECK(bad.completed == 2500);
  CHECK(bad.failed);
  CHECK(bad.value.empty());
  CHECK_THROWS_AS(cursor.next(), DecodeError);

  CHECK(std::get<Results>(read(in)).first == 10);
  CHECK(std::get<Results>(read(in)).call == 6);
  const auto last = std::get<Results>(read(in));
  CHECK(last.first == 12);
  CHECK(last.started == 2800);
  CHECK(in.done());
}

TEST_CASE("what makes teams keeps its fields, and a team has engines", "[messages]") {
  Writer out;
  write(out, Join{7, {2, 0, 1}});
  write(out, Assemble{8, 5});
  write(out, Disband{9});
  write(out, Stop{14, 15, 16});
  write(out, TeamReady{10});
  write(out, Memory{11, 12});
  Batch batch = fixed_batch();
  batch.team = 13;
  batch.votes = 2;
  write(out, batch);
  Reader in(out.bytes.bytes());
  const auto join = std::get<Join>(read(in));
  CHECK(join.team == 7);
  CHECK(join.engines == std::vector<std::int32_t>{2, 0, 1});
  const auto assemble = std::get<Assemble>(read(in));
  CHECK(assemble.team == 8);
  CHECK(assemble.turn == 5);
  CHECK(std::get<Disband>(read(in)).team == 9);
  const auto stop = std::get<Stop>(read(in));
  CHECK(stop.call == 14);
  CHECK(stop.first == 15);
  CHECK(stop.count == 16);
  CHECK(std::get<TeamReady>(read(in)).team == 10);
  const auto memory = std::get<Memory>(read(in));
  CHECK(memory.variables == 11);
  CHECK(memory.bytes == 12);
  const auto together = std::get<Batch>(read(in));
  CHECK(together.team == 13);
  CHECK(together.votes == 2);
  CHECK(in.done());
  Writer nobody;
  write(nobody, Join{7, {}});
  Reader none(nobody.bytes.bytes());
  CHECK_THROWS_AS(read(none), DecodeError);
}

TEST_CASE("what a task publishes keeps its fields", "[messages]") {
  Writer out;
  write(out, Published{17, 18, "loss", "d", nine_each});
  write(out, Published{19, 20, "", "", {}});
  Reader in(out.bytes.bytes());
  const auto published = std::get<Published>(read(in));
  CHECK(published.call == 17);
  CHECK(published.item == 18);
  CHECK(published.name == "loss");
  CHECK(published.type == "d");
  CHECK(text_of(published.value) == text_of(nine_each));
  const auto empty = std::get<Published>(read(in));
  CHECK(empty.item == 20);
  CHECK(empty.name.empty());
  CHECK(empty.value.empty());
  CHECK(in.done());
}

TEST_CASE("what a task has printed may be any bytes", "[messages]") {
  const std::vector<std::byte> any{std::byte{0}, std::byte{255}, std::byte{10}};
  Writer out;
  write(out, Printed{17, 18, any, nine_each});
  Reader in(out.bytes.bytes());
  const auto printed = std::get<Printed>(read(in));
  CHECK(printed.call == 17);
  CHECK(printed.item == 18);
  CHECK(text_of(printed.out) == text_of(any));
  CHECK(text_of(printed.err) == text_of(nine_each));
  CHECK(in.done());
}

TEST_CASE("what is recalled, and what is given back", "[messages]") {
  Writer out;
  write(out, Recall{{{5, 6, 7, 0}, {8, 9, 10, 1}}});
  write(out, Returned{});
  Reader in(out.bytes.bytes());
  CHECK(std::get<Recall>(read(in)).items == std::vector<Items>{{5, 6, 7, 0}, {8, 9, 10, 1}});
  CHECK(std::get<Returned>(read(in)).items.empty());
  CHECK(in.done());
  // No items, and more than can be counted.
  for (const Items& wrong : {Items{5, 6, 0, 0}, Items{5, ~std::uint64_t{0}, 2, 0}}) {
    Writer bad;
    write(bad, Returned{{wrong}});
    Reader refused(bad.bytes.bytes());
    CHECK_THROWS_AS(read(refused), DecodeError);
  }
}

TEST_CASE("tasks that tasks submit, and their answers", "[messages]") {
  Writer out;
  write(out, Subtask{1, {1, 2}, {3, 4}, 5, 6, 0, nine_each, nine_each});
  write(out, SubtaskResult{1, 1, nine_each});
  Reader in(out.bytes.bytes());
  const auto subtask = std::get<Subtask>(read(in));
  CHECK(subtask.ticket == 1);
  CHECK(subtask.thunk == CodeAddress{1, 2});
  CHECK(subtask.function == CodeAddress{3, 4});
  CHECK(subtask.parent_call == 5);
  CHECK(subtask.parent_item == 6);
  CHECK(subtask.parent_call == 5);
  CHECK(text_of(subtask.object) == text_of(nine_each));
  CHECK(text_of(subtask.item) == text_of(nine_each));
  const auto answer = std::get<SubtaskResult>(read(in));
  CHECK(answer.failed == 1);
  CHECK(text_of(answer.value) == text_of(nine_each));
  Writer bad;
  write(bad, Subtask{1, {1, 2}, {}, 5, 6, 8, {}, nine_each});
  Reader refused(bad.bytes.bytes());
  CHECK_THROWS_AS(read(refused), DecodeError);
}

TEST_CASE("what engines deliver to each other", "[messages]") {
  const auto items = sized_items({"a"});
  Batch batch{.thunk = {1, 2}, .function = {}, .call = 9, .count = 1, .items = items, .awaits = true, .first_ticket = 7, .holders = {0, 3}};
  Writer out;
  write(out, batch);
  write(out, Forward{9, 7, 3});
  write(out, Delivery{7, 1, nine_each});
  Reader in(out.bytes.bytes());
  const auto read_back = std::get<Batch>(read(in));
  CHECK(read_back.awaits);
  CHECK(read_back.first_ticket == 7);
  CHECK(read_back.holders == std::vector<std::int32_t>{0, 3});
  CHECK(text_of(read_back.items) == text_of(items));
  const auto forward = std::get<Forward>(read(in));
  CHECK((forward.call == 9 && forward.ticket == 7 && forward.to == 3));
  const auto delivery = std::get<Delivery>(read(in));
  CHECK((delivery.ticket == 7 && delivery.found == 1));
  CHECK(text_of(delivery.value) == text_of(nine_each));
  CHECK(in.done());
  for (const std::size_t holders : {std::size_t{0}, items.size() + 1}) {
    batch.holders.assign(holders, 1);
    Writer bad;
    write(bad, batch);
    Reader refused(bad.bytes.bytes());
    CHECK_THROWS_AS(read(refused), DecodeError);
  }
}

TEST_CASE("failures keep kind, type and message", "[messages]") {
  for (const FailureKind kind : {FailureKind::exception, FailureKind::name, FailureKind::type, FailureKind::stood_back,
                                 FailureKind::stopped, FailureKind::refused, FailureKind::timed_out, FailureKind::gone}) {
    Writer out;
    write(out, Failure{kind, "std::out_of_range", "too far"});
    for (std::size_t length = 0; length < out.bytes.size(); ++length) {
      const Exact bytes(out.bytes.bytes().first(length));
      Reader in(bytes.bytes());
      CHECK_THROWS_AS(read_failure(in), DecodeError);
    }
    Reader in(out.bytes.bytes());
    const Failure failure = read_failure(in);
    CHECK(in.done());
    CHECK(failure.kind == kind);
    CHECK(failure.type_name == "std::out_of_range");
    CHECK(failure.message == "too far");
  }
  Writer out;
  write(out, Failure{});
  out.bytes.data()[0] = std::byte{8};
  Reader in(out.bytes.bytes());
  CHECK_THROWS_AS(read_failure(in), DecodeError);
}

TEST_CASE("a message that is cut anywhere within a record is refused", "[messages]") {
  Writer out;
  std::vector<std::size_t> ends{0};
  write_all(out);
  Reader in(out.bytes.bytes());
  while (!in.done()) {
    static_cast<void>(read(in));
    ends.push_back(out.bytes.size() - in.remaining());
  }
  CHECK(ends.size() == 20);
  for (std::size_t length = 0; length < out.bytes.size(); ++length) {
    CAPTURE(length);
    const Exact bytes(out.bytes.bytes().first(length));
    if (std::find(ends.begin(), ends.end(), length) != ends.end()) {
      CHECK_NOTHROW(read_all(bytes.bytes()));
    } else {
      CHECK_THROWS_AS(read_all(bytes.bytes()), DecodeError);
    }
  }
}

TEST_CASE("a message with overwritten bytes is read or refused", "[messages]") {
  Writer out;
  write_all(out);
  const std::uint32_t seed = test::seed("overwritten messages");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    Exact bytes(out.bytes.bytes());
    for (std::size_t changes = 1 + random() % 4; changes > 0; --changes)
      bytes.bytes()[random() % bytes.bytes().size()] = static_cast<std::byte>(random() % 4 == 0 ? 0xff : random() % 256);
    // Counts may be large and still fit: items of no size, say, so only what is read of them tells.
    try {
      Reader in(bytes.bytes());
      while (!in.done()) static_cast<void>(read(in));
    } catch (const DecodeError&) {
      ++refused;
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("noise is refused", "[messages]") {
  const std::uint32_t seed = test::seed("noise");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::byte> noise(1 + random() % 200);
    for (auto& byte : noise) byte = static_cast<std::byte>(random());
    const Exact bytes(noise);
    // Some of one byte are a message.
    try {
      read_all(bytes.bytes());
    } catch (const DecodeError&) {
      ++refused;
    }
  }
  CHECK(refused > 4900);
}

TEST_CASE("fixed fields that contradict each other are refused, and named", "[messages]") {
  const auto refusal = [](const Batch& batch) {
    Writer out;
    write(out, batch);
    Reader in(out.bytes.bytes());
    return message_of<DecodeError>([&] { static_cast<void>(read(in)); });
  };
  Batch none = fixed_batch();
  none.count = 0;
  CHECK(contains(refusal(none), "a batch of 0 items"));
  Batch beyond = fixed_batch();
  beyond.first = ~std::uint64_t{0};
  CHECK(contains(refusal(beyond), "from item 18446744073709551615"));
  Batch many = fixed_batch();
  many.count = 4;
  CHECK(contains(refusal(many), "a batch of 4 items of call 5 in 27 bytes"));
  Batch few = fixed_batch();
  few.count = 2;
  CHECK(contains(refusal(few), "in 27 bytes"));
  Batch wide = fixed_batch();
  wide.stride = std::uint64_t{1} << 63U;
  wide.count = 2;
  CHECK_FALSE(refusal(wide).empty());

  Writer unknown;
  unknown.value(std::uint64_t{99});
  Reader in(unknown.bytes.bytes());
  CHECK(contains(message_of<DecodeError>([&] { static_cast<void>(read(in)); }), "unknown kind 99"));

  Writer end;
  write(end, End{static_cast<Ending>(2), 0, ""});
  Reader in_end(end.bytes.bytes());
  CHECK_THROWS_AS(read(in_end), DecodeError);
}
