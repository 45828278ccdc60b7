// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"

#include <mpi.h>
#include <algorithm>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <functional>
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
