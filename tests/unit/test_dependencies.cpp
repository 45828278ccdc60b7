// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "scheduler/dependencies.hpp"

#include "support.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

using namespace rankview::scheduler;

namespace {

constexpr Verdict wait = Verdict::waiting;
constexpr Verdict met = Verdict::met;
constexpr Verdict impossible = Verdict::impossible;

// What the columns of the table say has become of two tasks.
enum class Fate { open, well, failed };
struct Column {
  Fate first;
  Fate second;
};
constexpr std::array<Column, 6> columns{{{Fate::open, Fate::open},
                                         {Fate::well, Fate::open},
                                         {Fate::failed, Fate::open},
                                         {Fate::well, Fate::well},
                                         {Fate::well, Fate::failed},
                                         {Fate::failed, Fate::failed}}};
struct Row {
  Rule rule;
  std::array<Verdict, 6> verdicts;
};
// Columns: nothing done, one well, one failed, both well, one well and one failed, both failed.
const std::array<Row, 6> rows{{
    {{.all = true, .success = true, .failure = true}, {wait, wait, wait, met, met, met}},
    {{.all = true, .success = true, .failure = false}, {wait, wait, impossible, met, impossible, impossible}},
    {{.all = true, .success = false, .failure = true}, {wait, impossible, wait, impossible, impossible, met}},
    {{.all = false, .success = true, .failure = true}, {wait, met, met, met, met, met}},
    {{.all = false, .success = true, .failure = false}, {wait, met, wait, met, met, impossible}},
    {{.all = false, .success = false, .failure = true}, {wait, wait, met, impossible, met, met}},
}};

// Two calls of one task each, and one that waits for both.
struct Three {
  explicit Three(Rule rule, bool follow = false, std::vector<int> targets = {}) {
    Dependencies::Needs needs;
    if (follow) {
      needs.follow.emplace(rule, std::move(targets));
      needs.follow->expect(2);
    } else {
      needs.after = After(rule);
      needs.after.expect(2);
    }
    graph.wait(dependent, std::move(needs));
    const auto need = follow ? Dependencies::Need::follow : Dependencies::Need::after;
    graph.depend(dependent, a, Dependencies::every, need);
    graph.depend(dependent, b, 0, need);
    graph.settle(dependent);
  }

  Dependencies graph;
  Dependencies::Node a = graph.add(1);
  Dependencies::Node b = graph.add(2);
  Dependencies::Node dependent = graph.add(3);
};

}  // namespace

TEST_CASE("the truth table of what is waited for", "[dependencies]") {
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < columns.size(); ++column) {
      for (const bool follow : {false, true}) {
        CAPTURE(row.rule.all, row.rule.success, row.rule.failure, column, follow);
        Three three(row.rule, follow);
        const auto end = [&](Dependencies::Node node, Fate fate) {
          if (fate != Fate::open) three.graph.ended(node, 0, 7, fate == Fate::well);
        };
        end(three.a, columns[column].first);
        end(three.b, columns[column].second);
        const auto decision = three.graph.next();
        CHECK((decision ? decision->verdict : wait) == row.verdicts[column]);
        CHECK_FALSE(three.graph.next());
        CHECK(three.graph.waiting() == (decision ? 0 : 1));
        if (!decision) continue;
        CHECK(decision->call == 3);
        if (decision->verdict == met && follow) CHECK(decision->engines == std::vector<int>{7});
        if (decision->verdict == impossible) CHECK((decision->cause_call == 1 || decision->cause_call == 2));
      }
    }
  }
}

TEST_CASE("tasks that ran on two engines cannot be followed to both", "[dependencies]") {
  Three all({}, true);
  all.graph.ended(all.a, 0, 1, true);
  all.graph.ended(all.b, 0, 2, true);
  CHECK(all.graph.next()->verdict == impossible);

  Three any({.all = false}, true);
  any.graph.ended(any.a, 0, 1, true);
  const auto decision = any.graph.next();
  REQUIRE(decision);
  CHECK(decision->engines == std::vector<int>{1});
}

TEST_CASE("a task is followed only to engines that may run what follows", "[dependencies]") {
  Three any({.all = false}, true, {3, 4});
  any.graph.ended(any.a, 0, 1, true);
  CHECK_FALSE(any.graph.next());
  any.graph.ended(any.b, 0, 4, true);
  CHECK(any.graph.next()->engines == std::vector<int>{4});

  Three none({.all = false}, true, {3, 4});
  none.graph.ended(none.a, 0, 1, true);
  none.graph.ended(none.b, 0, 2, true);
  CHECK(none.graph.next()->verdict == impossible);
}

TEST_CASE("a task that never ran is nowhere to be followed to", "[dependencies]") {
  Three either({.all = false, .success = true, .failure = true}, true);
  either.graph.ended(either.a, 0, -1, false);
  CHECK_FALSE(either.graph.next());
  either.graph.ended(either.b, 0, -1, false);
  CHECK(either.graph.next()->verdict == impossible);
}

TEST_CASE("nothing to wait for is met", "[dependencies]") {
  Dependencies graph;
  const auto node = graph.add(1);
  graph.wait(node, {After(Rule()), After(Rule()), Follow(Rule(), {})});
  graph.settle(node);
  const auto decision = graph.next();
  REQUIRE(decision);
  CHECK(decision->verdict == met);
  CHECK(decision->engines.empty());
}

TEST_CASE("a call that was removed while it waited hears of nothing, nor does who has its place", "[dependencies]") {
  Three three(Rule{});
  three.graph.remove(three.dependent);
  CHECK(three.graph.waiting() == 0);
  const auto other = three.graph.add(4);
  Dependencies::Needs needs;
  needs.after.expect(1);
  three.graph.wait(other, needs);
  three.graph.ended(three.a, 0, 1, false);
  three.graph.ended(three.b, 0, 1, false);
  CHECK_FALSE(three.graph.next());
  CHECK(three.graph.waiting() == 1);
}

TEST_CASE("single tasks of a call of many", "[dependencies]") {
  Dependencies graph;
  const auto many = graph.add(1);
  std::vector<Dependencies::Node> nodes;
  for (std::uint64_t item = 0; item < 100; ++item) {
    nodes.push_back(graph.add(10 + item));
    Dependencies::Needs needs;
    needs.after.expect(1);
    graph.wait(nodes.back(), needs);
    graph.depend(nodes.back(), many, item, Dependencies::Need::after);
  }
  for (std::uint64_t item = 100; item-- > 0;) {
    graph.ended(many, item, 0, item % 2 == 0);
    const auto decision = graph.next();
    REQUIRE(decision);
    CHECK(decision->call == 10 + item);
    CHECK(decision->verdict == (item % 2 == 0 ? met : impossible));
    if (item % 2 != 0) CHECK(decision->cause_item == item);
    CHECK_FALSE(graph.next());
  }
}

TEST_CASE("arguments have to go well whatever else is waited for", "[dependencies]") {
  Dependencies graph;
  const auto a = graph.add(1);
  const auto b = graph.add(2);
  const auto node = graph.add(3);
  Dependencies::Needs needs;
  needs.after = After({.all = false, .success = false, .failure = true});
  needs.after.expect(1);
  needs.arguments.expect(1);
  graph.wait(node, needs);
  graph.depend(node, a, Dependencies::every, Dependencies::Need::after);
  graph.depend(node, b, Dependencies::every, Dependencies::Need::argument);
  graph.ended(a, 0, 0, false);
  CHECK_FALSE(graph.next());
  graph.ended(b, 0, 0, true);
  CHECK(graph.next()->verdict == met);
}
