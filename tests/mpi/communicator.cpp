// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <mpi.h>
#include <algorithm>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using test::balanced;
using test::client;
using test::everyone;

namespace {

// Each rank hands its engine's number round; all get the sum, the size, and who is to the left.
std::vector<int> around(const boost::mpi::communicator& comm, int added) {
  const int sum = boost::mpi::all_reduce(comm, rv::this_engine::id() + added, std::plus<>());
  const int right = (comm.rank() + 1) % comm.size();
  const int left = (comm.rank() + comm.size() - 1) % comm.size();
  int mine = rv::this_engine::id();
  int theirs = -1;
  MPI_Sendrecv(&mine, 1, MPI_INT, right, 5, &theirs, 1, MPI_INT, left, 5, comm, MPI_STATUS_IGNORE);
  return {sum, comm.size(), comm.rank(), theirs};
}

}  // namespace

TEST_CASE("a callable that takes a communicator runs on exactly the view's engines, in target order", "[data]") {
  std::vector<int> ids = client().ids();
  for (std::size_t count = 1; count <= ids.size(); ++count) {
    std::vector<int> some(ids.end() - static_cast<std::ptrdiff_t>(count), ids.end());
    std::reverse(some.begin(), some.end());
    const auto results = client()[some].apply_sync(around, 10);
    int sum = 0;
    for (const int id : some) sum += id + 10;
    for (std::size_t i = 0; i < count; ++i)
      CHECK(results[i] == std::vector<int>{sum, static_cast<int>(count), static_cast<int>(i), some[(i + count - 1) % count]});
  }
  CHECK(client()[-1].apply_sync(around, 0)[1] == 1);
}

TEST_CASE("callables with a communicator take references and return nothing, too", "[data]") {
  everyone()["total"] = 0;
  everyone().apply_sync([](const boost::mpi::communicator& comm, int& total,
                           const std::string& text) { total = boost::mpi::all_reduce(comm, static_cast<int>(text.size()), std::plus<>()); },
                        rv::ref("total"), "four");
  CHECK(everyone()["total"].get<int>() == std::vector<int>(client().size(), 4 * test::engines()));
}

TEST_CASE("overlapping groups and load-balanced work in any order do not cross", "[data]") {
  const int q = test::engines();
  std::vector<rv::AsyncResult<std::vector<std::vector<int>>>> groups;
  std::vector<rv::AsyncResult<std::vector<int>>> maps;
  for (int round = 0; round < 60; ++round) {
    std::vector<int> some = client().ids();
    std::rotate(some.begin(), some.begin() + round % q, some.end());
    some.resize(static_cast<std::size_t>(1 + (round * 7) % q));
    groups.push_back(client()[some].apply(around, round));
    maps.push_back(balanced().map([](int x) { return x + 1; }, std::vector{round, round + 1}));
    if (round % 3 == 0) client()[round % q].push("x", round);
  }
  for (int round = 0; round < 60; ++round) {
    const auto at = static_cast<std::size_t>(round);
    for (const auto& each : groups[at].get(test::limit)) CHECK(each[1] == 1 + (round * 7) % q);
    CHECK(maps[at].get(test::limit) == std::vector{round + 1, round + 2});
  }
}

TEST_CASE("MPI returns errors on a task's communicator, and kills nothing", "[data]") {
  const auto classes = everyone().apply_sync([](const boost::mpi::communicator& comm) {
    const int value = 1;
    int error_class = 0;
    MPI_Error_class(MPI_Send(&value, 1, MPI_INT, comm.size() + 3, 0, comm), &error_class);
    return error_class;
  });
  CHECK(classes == std::vector<int>(client().size(), MPI_ERR_RANK));
  CHECK(test::alive());
}

namespace {

// Two teams never mix, and each member knows its task.
std::string team_task(const boost::mpi::communicator& comm, int item) {
  std::vector<int> ids;
  boost::mpi::all_gather(comm, rv::this_engine::id(), ids);
  int items = boost::mpi::all_reduce(comm, item, std::plus<>());
  if (items != item * comm.size()) throw std::runtime_error("a team in two tasks");
  std::string text = std::to_string(item) + ":";
  for (const int id : ids) text += " " + std::to_string(id);
  return text;
}

}  // namespace

TEST_CASE("a team view runs each task on one of its teams", "[data]") {
  const int q = test::engines();
  for (int k = 1; k <= q; ++k) {
    const rv::TeamView view = client().team_view(k);
    CHECK(view.size() == static_cast<std::size_t>(q / k));
    CHECK(view.leftover().size() == static_cast<std::size_t>(q % k));
    std::vector<int> items(200);
    std::iota(items.begin(), items.end(), 0);
    const auto result = view.map(team_task, items);
    const auto texts = result.get(test::limit);
    REQUIRE(texts.size() == items.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      bool known = false;
      for (const auto& team : view.teams()) {
        std::string text = std::to_string(i) + ":";
        for (const int id : team) text += " " + std::to_string(id);
        known = known || text == texts[i];
      }
      CHECK(known);
      CHECK(result.metadata(i).attempt == 1);
    }
    CHECK(view.apply_sync(team_task, 7).starts_with("7: "));
    CHECK(view.with({.chunksize = 7}).map_sync(team_task, items).size() == items.size());
  }
  CHECK_THROWS_AS(client().team_view(q + 1), rv::UsageError);
  CHECK_THROWS_AS(client().team_view(0), rv::UsageError);
  CHECK(test::alive());
}

TEST_CASE("what any member of a team throws is the task's error", "[data]") {
  const int k = std::min(2, test::engines());
  const auto view = client().team_view(k);
  const auto last_throws = [](const boost::mpi::communicator& comm, int item) {
    if (item % 2 == 1 && comm.rank() == comm.size() - 1) throw std::runtime_error("item " + std::to_string(item));
    return item;
  };
  const auto result = view.map(last_throws, std::vector{0, 1, 2, 3});
  const auto error = test::thrown<rv::CompositeError>([&] { result.get(test::limit); });
  REQUIRE(error.size() == 2);
  CHECK(test::held<rv::RemoteError>(error.failures()[1].error).message() == "item 3");
  CHECK(result.results()[2].value() == 2);
  // Long results, which travel beside their messages.
  const auto big = view.map_sync([](const boost::mpi::communicator&, int n) { return std::vector<int>(20'000, n); }, std::vector{1, 2, 3});
  for (int i = 0; i < 3; ++i) CHECK(big[static_cast<std::size_t>(i)] == std::vector<int>(20'000, i + 1));
  view.map_sync([](const boost::mpi::communicator&, int) {}, std::vector{1, 2, 3});
}

TEST_CASE("team tasks, load-balanced tasks, collectives and groups side by side", "[data]") {
  const auto view = client().team_view(std::min(2, test::engines()));
  everyone()["x"] = std::vector{1};
  for (int round = 0; round < 20; ++round) {
    const auto teams = view.map(team_task, std::vector{1, 2, 3, 4, 5});
    const auto gathered = everyone().gather<int>("x");
    const auto tasks = balanced().map([](int i) { return i; }, std::vector{1, 2, 3});
    const auto group = client()[-1].apply(around, round);
    const auto more = view.map(team_task, std::vector{1, 2});
    CHECK(more.get(test::limit).size() == 2);
    CHECK(gathered.get(test::limit).size() == client().size());
    CHECK(tasks.get(test::limit).size() == 3);
    CHECK(teams.get(test::limit).size() == 5);
    CHECK(group.get(test::limit)[1] == 1);
  }
}

TEST_CASE("after a throw the next task has a communicator without what was left on the old one", "[data]") {
  if (client().size() < 2) return;
  const auto view = client().team_view(2);
  // The first rank throws after the second has sent to it.
  const auto stray = [](const boost::mpi::communicator& comm, bool leave) {
    int value = leave ? -1 : comm.rank();
    if (comm.rank() == 1) MPI_Send(&value, 1, MPI_INT, 0, 7, comm);
    if (comm.rank() == 0 && leave) throw std::runtime_error("left");
    if (comm.rank() == 0) MPI_Recv(&value, 1, MPI_INT, 1, 7, comm, MPI_STATUS_IGNORE);
    return value;
  };
  for (int i = 0; i < 5; ++i) {
    CHECK_THROWS_AS(view.apply_sync(stray, true), rv::RemoteError);
    CHECK(view.apply_sync(stray, false) == 1);
    const auto result = client()[{0, 1}].apply(stray, true);
    REQUIRE(result.wait(test::limit));
    CHECK_FALSE(result.successful());
    CHECK(client()[{0, 1}].apply_sync(stray, false) == std::vector{1, 1});
  }
}
