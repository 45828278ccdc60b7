// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// How many MPI calls each verb makes, on rank 0 and on each engine: what the comments of DirectView promise. This program's own definitions
// of those MPI functions stand before the library's, count, and hand on to the profiling names.
#define CATCH_CONFIG_RUNNER
#include "fixture.hpp"

#include <mpi.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/mpi/communicator.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

enum Function {
  create_group,
  igather,
  ibcast,
  iscatterv,
  igatherv,
  ireduce,
  iallreduce,
  iallgather,
  iallgatherv,
  ibarrier,
  isend,
  others,  // blocking collectives, which there should be none of
  functions
};
using Counts = std::array<std::int64_t, functions>;

std::array<std::atomic<std::int64_t>, functions> made{};

std::atomic<std::int64_t> bytes_sent = 0;

void count(Function function) { made[function].fetch_add(1, std::memory_order_relaxed); }

Counts snapshot() {
  Counts counts{};
  for (std::size_t i = 0; i < functions; ++i) counts[i] = made[i].load();
  return counts;
}

Counts operator-(const Counts& a, const Counts& b) {
  Counts difference{};
  for (std::size_t i = 0; i < functions; ++i) difference[i] = a[i] - b[i];
  return difference;
}

}  // namespace

extern "C" {

int MPI_Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm* made_comm) {
  count(create_group);
  return PMPI_Comm_create_group(comm, group, tag, made_comm);
}
int MPI_Igather(const void* from, int n, MPI_Datatype type, void* to, int m, MPI_Datatype into, int root, MPI_Comm comm, MPI_Request* r) {
  count(igather);
  return PMPI_Igather(from, n, type, to, m, into, root, comm, r);
}
int MPI_Ibcast(void* data, int n, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request* r) {
  count(ibcast);
  return PMPI_Ibcast(data, n, type, root, comm, r);
}
int MPI_Iscatterv(const void* from, const int n[], const int at[], MPI_Datatype type, void* to, int m, MPI_Datatype into, int root,
                  MPI_Comm comm, MPI_Request* r) {
  count(iscatterv);
  return PMPI_Iscatterv(from, n, at, type, to, m, into, root, comm, r);
}
int MPI_Igatherv(const void* from, int n, MPI_Datatype type, void* to, const int m[], const int at[], MPI_Datatype into, int root,
                 MPI_Comm comm, MPI_Request* r) {
  count(igatherv);
  return PMPI_Igatherv(from, n, type, to, m, at, into, root, comm, r);
}
int MPI_Ireduce(const void* from, void* to, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm, MPI_Request* r) {
  count(ireduce);
  return PMPI_Ireduce(from, to, n, type, op, root, comm, r);
}
int MPI_Iallreduce(const void* from, void* to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm, MPI_Request* r) {
  count(iallreduce);
  return PMPI_Iallreduce(from, to, n, type, op, comm, r);
}
int MPI_Iallgather(const void* from, int n, MPI_Datatype type, void* to, int m, MPI_Datatype into, MPI_Comm comm, MPI_Request* r) {
  count(iallgather);
  return PMPI_Iallgather(from, n, type, to, m, into, comm, r);
}
int MPI_Iallgatherv(const void* from, int n, MPI_Datatype type, void* to, const int m[], const int at[], MPI_Datatype into, MPI_Comm comm,
                    MPI_Request* r) {
  count(iallgatherv);
  return PMPI_Iallgatherv(from, n, type, to, m, at, into, comm, r);
}
int MPI_Ibarrier(MPI_Comm comm, MPI_Request* r) {
  count(ibarrier);
  return PMPI_Ibarrier(comm, r);
}
int MPI_Isend(const void* from, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* r) {
  count(isend);
  int each = 0;
  PMPI_Type_size(type, &each);
  bytes_sent.fetch_add(std::int64_t{n} * each, std::memory_order_relaxed);
  return PMPI_Isend(from, n, type, to, tag, comm, r);
}
int MPI_Bcast(void* data, int n, MPI_Datatype type, int root, MPI_Comm comm) {
  count(others);
  return PMPI_Bcast(data, n, type, root, comm);
}
int MPI_Barrier(MPI_Comm comm) {
  count(others);
  return PMPI_Barrier(comm);
}
}

namespace {

rv::Client* running = nullptr;

using Expected = std::map<Function, std::int64_t>;

// Runs `call`, and compares what it made with what it should: `on_both` on rank 0 and each engine, and besides.
void check(const std::string& what, const std::function<void()>& call, const Expected& on_both, const Expected& on_engines = {},
           std::int64_t sends_by_root = -1) {
  INFO(what);
  call();  // the communicators are there from here on
  const auto engines_before = test::everyone().apply_sync(snapshot);
  const Counts root_before = snapshot();
  call();
  const Counts root = snapshot() - root_before;
  const auto engines_after = test::everyone().apply_sync(snapshot);
  const auto wanted = [](const Expected& expected, Function function) {
    const auto found = expected.find(function);
    return found == expected.end() ? 0 : found->second;
  };
  for (int f = create_group; f < functions; ++f) {
    const auto function = static_cast<Function>(f);
    INFO("function " << f);
    if (function == isend) continue;
    CHECK(root[function] == wanted(on_both, function));
    for (std::size_t e = 0; e < engines_after.size(); ++e)
      CHECK((engines_after[e] - engines_before[e])[function] == wanted(on_both, function) + wanted(on_engines, function));
  }
  CHECK(root[isend] == (sends_by_root < 0 ? test::engines() : sends_by_root));
}

const Expected vote = {{igather, 1}, {ibcast, 1}};

Expected with(Expected expected, const Expected& more) {
  for (const auto& [function, number] : more) expected[function] += number;
  return expected;
}

}  // namespace

rv::Client& test::client() { return *running; }

TEST_CASE("verbs with rank 0 make a vote and one collective") {
  const auto all = test::everyone();
  const std::vector<double> values(100'000, 1);
  std::vector<double> into(values.size());
  check(
      "scatter", [&] { all.scatter_sync("x", values); }, with(vote, {{iscatterv, 1}}));
  check(
      "gather", [&] { all.gather_sync<double>("x"); }, with(vote, {{igatherv, 1}}));
  check(
      "gather_into", [&] { all.gather_into_sync("x", into); }, with(vote, {{igatherv, 1}}));
  check(
      "push", [&] { all.push_sync("y", values); }, with(vote, {{ibcast, 1}}));
  check("push, short", [&] { all.push_sync("s", 1.0); }, {});
  check(
      "push, encoded", [&] { all.push_sync("z", std::vector<std::string>(5000, "0123456789")); }, with(vote, {{ibcast, 1}}));
  // Round robin: a message of its own to each engine.
  check(
      "scatter, round robin", [&] { all.scatter_sync("r", values, {.dist = rv::round_robin}); }, vote, {}, 2 * test::engines());
  check(
      "gather, round robin", [&] { all.gather_sync<double>("r", {.dist = rv::round_robin}); }, vote);
  const std::vector<std::string> words(100, "word");
  check(
      "scatter, encoded", [&] { all.scatter_sync("w", words); }, vote);
  check("gather, encoded", [&] { all.gather_sync<std::string>("w"); }, {});
}

TEST_CASE("reductions: no vote for one number, one call for each 256 KiB") {
  const auto all = test::everyone();
  all.push_sync("one", 1.0);
  all.push_sync("v", std::vector<double>(100'000, 1));
  check("reduce of one", [&] { all.reduce_sync<double>("one", std::plus<>()); }, {{ireduce, 1}});
  check("reduce_all", [&] { all.reduce_all_sync<double>("v", std::plus<>()); }, {{ireduce, 1}});
  check(
      "reduce", [&] { all.reduce_sync<std::vector<double>>("v", std::plus<>()); }, with(vote, {{ireduce, 4}}));
  check("allreduce", [&] { all.allreduce_sync<std::vector<double>>("v", "w", std::plus<>()); }, vote, {{iallreduce, 4}});
  check("allreduce of one", [&] { all.allreduce_sync<double>("one", "sum", std::plus<>()); }, vote, {{iallreduce, 1}});
  const auto other = [](double a, double b) { return a + b; };
  check(
      "reduce, any operation", [&] { all.reduce_sync<double>("one", other); }, vote);
  check("allreduce, any operation", [&] { all.allreduce_sync<double>("one", "sum", other); }, vote, {{ibcast, 2}});
}

TEST_CASE("among engines, rank 0 takes the votes and no more") {
  const auto all = test::everyone();
  all.push_sync("v", std::vector<double>(1000, 1));
  check("barrier", [&] { all.barrier_sync(); }, {}, {{ibarrier, 1}});
  check("allgather", [&] { all.allgather_sync<double>("v", "w"); }, with(vote, vote), {{iallgather, 1}, {iallgatherv, 1}});
  check("broadcast", [&] { all.broadcast_sync(0, "v"); }, with(vote, vote), {{ibcast, 1}});
  check("apply", [&] { all.apply_sync([] {}); }, {});
  check("apply with a communicator", [&] { all.apply_sync([](const boost::mpi::communicator&) {}); }, {}, {{iallreduce, 1}});
}

TEST_CASE("communicators are made with the first call on a set of engines, and kept") {
  std::vector<int> ids = test::client().ids();
  std::reverse(ids.begin(), ids.end());
  const rv::DirectView backwards = test::client()[ids];
  const Counts before = snapshot();
  const auto engines_before = test::everyone().apply_sync(snapshot);
  for (int i = 0; i < 5; ++i) backwards.barrier_sync();
  backwards.apply_sync([](const boost::mpi::communicator&) {});
  backwards.scatter_sync("x", std::vector{1, 2, 3});
  const bool is_new = test::engines() > 1;  // else it is the set of all
  CHECK((snapshot() - before)[create_group] == (is_new ? 1 : 0));
  const auto engines_after = test::everyone().apply_sync(snapshot);
  for (std::size_t e = 0; e < engines_after.size(); ++e) CHECK((engines_after[e] - engines_before[e])[create_group] == (is_new ? 2 : 0));
}

// With RANKVIEW_FORWARD_RESULTS=2.
TEST_CASE("a long result goes from engine to engine", "[.forward]") {
  constexpr std::int64_t bytes = 8'000'000;
  const auto result = test::client()[0].apply([] { return std::vector<double>(bytes / sizeof(double), 1.0); });
  result.wait(test::limit);
  const auto sent_by_engine = [] { return test::client()[0].apply_sync([] { return bytes_sent.load(); }); };
  const std::int64_t root = bytes_sent;
  const std::int64_t engine = sent_by_engine();
  CHECK(test::client()[1].apply([](const std::vector<double>& v) { return v.size(); }, result).get(test::limit) == bytes / sizeof(double));
  CHECK(bytes_sent - root < 10'000);
  CHECK(sent_by_engine() - engine >= bytes);
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [&](rv::Client& rc) {
    running = &rc;
    return Catch::Session().run(argc, argv) == 0 ? 0 : 1;
  });
}
