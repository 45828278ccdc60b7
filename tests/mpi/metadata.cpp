// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "gated.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

using test::balanced;
using test::client;
using test::engines;
using test::everyone;
using test::negative_fails;
using test::pass;

// What is known of tasks.

TEST_CASE("metadata") {
  using Time = rv::Metadata::Time;
  const Time before = std::chrono::system_clock::now();
  const auto result = balanced()
                          .with({.label = "label of mine"})
                          .map(
                              [](int n) {
                                std::this_thread::sleep_for(2ms);
                                return negative_fails(n);
                              },
                              std::vector{1, 2, -3, 4, 5});
  REQUIRE(result.wait(test::limit));
  const Time after = std::chrono::system_clock::now();
  std::array<char, 256> host{};
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);

  for (std::size_t i = 0; i < 5; ++i) {
    const rv::Metadata m = result.metadata(i);
    CHECK(m.task == result.task_ids()[i]);
    CHECK(m.task.item == i);
    CHECK(m.label == "label of mine");
    CHECK(m.status == (i == 2 ? rv::Status::failed : rv::Status::completed));
    CHECK((m.engine >= 0 && m.engine < engines()));
    CHECK(m.host == host.data());
    CHECK(m.attempt == 1);
    // The clock is the host's own, read once and then counted on; it may have been corrected since.
    CHECK(before - 60s <= m.submitted);
    CHECK(m.submitted <= m.started);
    CHECK(m.started <= m.completed);
    CHECK(m.completed - m.started >= 2ms);
    CHECK(m.completed <= m.received);
    CHECK(m.received <= after + 60s);
    CHECK(m.error.empty() == (i != 2));
  }
  CHECK(test::contains(result.metadata(2).error, "negative: -3"));
  CHECK(result.metadata_all().size() == 5);
  CHECK(result.metadata().task.item == 0);
  CHECK_THROWS_AS(result.metadata(5), std::out_of_range);
  CHECK_THROWS_AS(result.get(), rv::CompositeError);
}

TEST_CASE("metadata of what has not ended") {
  const test::Gate gate;
  const std::size_t count = 5000;
  const auto result = balanced().map(pass, std::vector(count, gate.path()), std::views::iota(0));
  const rv::Metadata first = result.metadata(0);
  CHECK(first.status == rv::Status::handed_out);
  CHECK(first.completed == rv::Metadata::Time());
  CHECK(first.received == rv::Metadata::Time());
  const rv::Metadata last = result.metadata(count - 1);
  CHECK(last.status == rv::Status::waiting);
  CHECK(last.engine == -1);
  CHECK(last.attempt == 0);
  gate.open();
  REQUIRE(result.wait(test::limit));
  CHECK(result.metadata(count - 1).status == rv::Status::completed);
}

TEST_CASE("direct tasks know their engines") {
  const auto result = everyone().apply([] {});
  REQUIRE(result.wait(test::limit));
  for (int id = 0; id < engines(); ++id) CHECK(result.metadata(static_cast<std::size_t>(id)).engine == id);
}

TEST_CASE("task ids name each task once") {
  std::set<rv::TaskId> ids;
  std::size_t count = 0;
  const auto add = [&](const auto& result) {
    for (const rv::TaskId& id : result.task_ids()) ids.insert(id);
    count += result.size();
  };
  for (int round = 0; round < 5; ++round) {
    add(balanced().map([](int n) { return n; }, std::vector{1, 2, 3}));
    add(everyone().apply([] {}));
    add(client()[0].apply([] {}));
  }
  CHECK(ids.size() == count);
  std::ostringstream text;
  text << rv::TaskId{17, 3};
  CHECK(text.str() == "17.3");
  CHECK(std::hash<rv::TaskId>()({17, 3}) == std::hash<rv::TaskId>()({17, 3}));
}

TEST_CASE("times") {
  const auto result = balanced().map(
      [](int n) {
        std::this_thread::sleep_for(10ms);
        return n;
      },
      std::views::iota(0, 6));
  REQUIRE(result.wait(test::limit));
  const double serial = result.serial_time().count();
  const double wall = result.wall_time().count();
  CHECK(serial >= 0.060);
  CHECK(wall > 0);
  CHECK(serial <= wall * engines() * 1.001);
  CHECK(result.elapsed().count() == wall);
  CHECK(std::abs(result.speedup() - serial / wall) < 1e-9);
  double sum = 0;
  for (const auto& m : result.metadata_all()) sum += rv::Seconds(m.completed - m.started).count();
  CHECK(std::abs(sum - serial) < 1e-6);
}
