// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/under_way.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <optional>
#include <thread>

using rankview::UnderWay;
using rankview::UsageError;

// Runs within each other. Without MPI, which is asked only about the ranks of several processes; that is in tests/mpi and tests/system.
TEST_CASE("a run is under way as long as it is there", "[under_way]") {
  CHECK_FALSE(UnderWay::any());
  {
    const UnderWay run(MPI_COMM_SELF, 1);
    CHECK(UnderWay::any());
    bool elsewhere = false;
    std::thread([&elsewhere] { elsewhere = UnderWay::any(); }).join();
    CHECK(elsewhere);
  }
  CHECK_FALSE(UnderWay::any());
}

TEST_CASE("a cluster has one run at a time", "[under_way]") {
  std::optional<UnderWay> run;
  run.emplace(MPI_COMM_SELF, 1);
  CHECK(unit::contains(unit::message_of<UsageError>([] { const UnderWay within(MPI_COMM_SELF, 1); }), "within a run of the same Cluster"));
  // Also from another thread.
  std::string message;
  std::thread([&message] { message = unit::message_of<UsageError>([] { const UnderWay within(MPI_COMM_SELF, 1); }); }).join();
  CHECK(unit::contains(message, "within a run of the same Cluster"));
  run.reset();
  CHECK_NOTHROW(UnderWay(MPI_COMM_SELF, 1));
}

TEST_CASE("who is the only rank keeps nobody waiting", "[under_way]") {
  const UnderWay run(MPI_COMM_SELF, 1);
  CHECK_NOTHROW(UnderWay::check_outside(MPI_COMM_WORLD));
  CHECK_NOTHROW(UnderWay(MPI_COMM_WORLD, 1));
}

TEST_CASE("another thread may run a cluster of the same ranks", "[under_way]") {
  const UnderWay run(MPI_COMM_WORLD, 2);
  bool free = false;
  std::thread([&free] {
    UnderWay::check_outside(MPI_COMM_SELF);
    free = true;
  }).join();
  CHECK(free);
}
