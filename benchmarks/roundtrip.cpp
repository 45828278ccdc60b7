// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2 roundtrip [--quick] [--rounds=N] [--calls=N] [--level=...]
//
// One call and its result, `rc[0].apply_sync(f, x)`, against MPI_Send and MPI_Recv of as many bytes each way as rankview's messages have.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

namespace {

// What this rank has sent, as MPI's profiling interface sees it.
long bytes_sent = 0;

void count_bytes(int count, MPI_Datatype type) {
  int size = 0;
  PMPI_Type_size(type, &size);
  bytes_sent += static_cast<long>(count) * size;
}

}  // namespace

int MPI_Isend(const void* from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  count_bytes(count, type);
  return PMPI_Isend(from, count, type, to, tag, comm, request);
}

int MPI_Send(const void* from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  count_bytes(count, type);
  return PMPI_Send(from, count, type, to, tag, comm);
}

namespace {

template <class T>
T echo(T x) {
  return x;
}

struct Plan {
  int rounds;
  int calls;
  int warm_up;
};

using Times = std::vector<double>;  // microseconds

template <class T>
class RoundTrip {
 public:
  RoundTrip(rv::Cluster& cluster, const Plan& plan, T x) : cluster_(cluster), plan_(plan), x_(std::move(x)) { learn_sizes(); }

  // A B A B ..., so that whatever disturbs one disturbs the other.
  void measure(const std::string& what, const bench::Mpi& mpi) {
    const std::string name = what + mpi.suffix();
    Times literal, kept, raw;
    for (int round = 0; round < plan_.rounds; ++round) {
      literal.push_back(bench::median(rankview([](rv::Client& rc) { return [&rc] { return rc[0]; }; })));
      raw.push_back(bench::median(ping_pong()));
      kept.push_back(bench::median(rankview([](rv::Client& rc) { return [engine = rc[0]] { return engine; }; })));
    }
    if (cluster_.rank() != 0) return;
    const double floor = bench::median(raw);
    const std::string floor_name = "ping-pong of " + std::to_string(out_) + " and " + std::to_string(back_) + " bytes";
    bench::print({.name = "round trip, " + name,
                  .unit = "us",
                  .rankview = bench::median(literal),
                  .floor_name = floor_name,
                  .floor = floor,
                  .ratio = bench::median(literal) / floor,
                  .at_most = mpi.usual() ? 2.0 : NAN});
    bench::print({.name = "round trip, " + name + ", view kept",
                  .unit = "us",
                  .rankview = bench::median(kept),
                  .floor_name = floor_name,
                  .floor = floor,
                  .ratio = bench::median(kept) / floor});
  }

 private:
  // The times of single calls on the engine that `make(client)()` names.
  template <class Make>
  Times rankview(Make make) {
    Times times;
    cluster_.run([&](rv::Client& rc) {
      const auto engine = make(rc);
      times.reserve(static_cast<std::size_t>(plan_.calls));
      for (int i = -plan_.warm_up; i < plan_.calls; ++i) {
        const auto start = bench::clock::now();
        const T y = engine().apply_sync(echo<T>, x_);
        const double elapsed = bench::seconds_since(start);
        if (y != x_) bench::give_up("a wrong result");
        if (i >= 0) times.push_back(elapsed * 1e6);
      }
    });
    return times;
  }

  Times ping_pong() {
    Times times;
    std::vector<std::byte> out(static_cast<std::size_t>(out_));
    std::vector<std::byte> back(static_cast<std::size_t>(back_));
    MPI_Barrier(MPI_COMM_WORLD);
    times.reserve(static_cast<std::size_t>(plan_.calls));
    for (int i = -plan_.warm_up; i < plan_.calls; ++i) {
      if (cluster_.rank() == 0) {
        const auto start = bench::clock::now();
        MPI_Send(out.data(), out_, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(back.data(), back_, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        const double elapsed = bench::seconds_since(start);
        if (i >= 0) times.push_back(elapsed * 1e6);
      } else {
        MPI_Recv(out.data(), out_, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(back.data(), back_, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
      }
    }
    return times;
  }

  // What a number of calls makes each rank send, beginning and end of the run included.
  std::array<long, 2> bytes_of(int calls) {
    bytes_sent = 0;
    cluster_.run([&](rv::Client& rc) {
      for (int i = 0; i < calls; ++i) rc[0].apply_sync(echo<T>, x_);
    });
    std::array<long, 2> sent{};
    MPI_Allgather(&bytes_sent, 1, MPI_LONG, sent.data(), 1, MPI_LONG, MPI_COMM_WORLD);
    return sent;
  }

  void learn_sizes() {
    constexpr int calls = 100;
    const auto without = bytes_of(0);
    const auto with = bytes_of(calls);
    out_ = static_cast<int>((with[0] - without[0]) / calls);
    back_ = static_cast<int>((with[1] - without[1]) / calls);
    if (out_ <= 0 || back_ <= 0) bench::give_up("rankview sends by an MPI call that this program does not count");
  }

  rv::Cluster& cluster_;
  Plan plan_;
  T x_;
  int out_ = 0;   // bytes to the engine
  int back_ = 0;  // and from it
};

// How quickly both sides, which sleep by then, are back after a silence.
void measure_waking(rv::Cluster& cluster, const bench::Mpi& mpi, int repetitions) {
  constexpr int calls = 20;
  std::vector<Times> times(calls);
  cluster.run([&](rv::Client& rc) {
    const rv::EngineView engine = rc[0];
    for (int i = 0; i < repetitions; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      for (Times& call : times) {
        const auto start = bench::clock::now();
        engine.apply_sync(echo<int>, i);
        call.push_back(bench::seconds_since(start) * 1e6);
      }
    }
  });
  if (mpi.rank != 0) return;
  bench::print({.name = "first round trip after 20 ms of silence" + mpi.suffix(), .unit = "us", .rankview = bench::median(times.front())});
  bench::print({.name = "20th round trip after 20 ms of silence" + mpi.suffix(), .unit = "us", .rankview = bench::median(times.back())});
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size != 2) bench::give_up("run it as mpirun -np 2");
  const bool quick = bench::quick(argc, argv);
  const Plan plan{static_cast<int>(bench::number(argc, argv, "rounds", quick ? 5 : 25)),
                  static_cast<int>(bench::number(argc, argv, "calls", quick ? 2'000 : 10'000)), 500};
  rv::Cluster cluster(MPI_COMM_WORLD);
  RoundTrip<int>(cluster, plan, 42).measure("int", mpi);
  RoundTrip<std::array<double, 8>>(cluster, plan, {1, 2, 3, 4, 5, 6, 7, 8}).measure("8 doubles", mpi);
  RoundTrip<std::string>(cluster, plan, std::string(1000, 'x')).measure("string of 1 kB", mpi);
  measure_waking(cluster, mpi, quick ? 20 : 100);
}
