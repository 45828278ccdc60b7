// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2 bulk [--quick] [--rounds=N] [--bytes=N]
//
// A vector of doubles to an engine, and back: from its place to its place against raw MPI, Boost.MPI, and archives at both ends.
#include "measure.hpp"

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/packed_iarchive.hpp>
#include <boost/mpi/packed_oarchive.hpp>
#include <boost/serialization/vector.hpp>
#include <rankview/rankview.hpp>

#include <map>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

using Vector = std::vector<double>;

double first_and_last(const Vector& v) { return v.front() + v.back(); }
Vector make(std::size_t size) { return Vector(size, 1.0); }

class Bulk {
 public:
  Bulk(const bench::Mpi& mpi, std::size_t size)
      : mpi_(mpi), world_(MPI_COMM_WORLD, boost::mpi::comm_duplicate), cluster_(MPI_COMM_WORLD), data_(size, 0.5) {}

  void round() {
    by_hand(
        "raw, there", [this] { MPI_Send(data_.data(), size(), MPI_DOUBLE, 1, 0, MPI_COMM_WORLD); },
        [this] {
          Vector received(data_.size());
          MPI_Recv(received.data(), size(), MPI_DOUBLE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
          return first_and_last(received);
        });
    by_rankview("rankview, there", [this](rv::EngineView& engine) {
      if (engine.apply_sync(first_and_last, data_) != 1.0) bench::give_up("a wrong result");
    });
    by_hand(
        "Boost.MPI, there", [this] { world_.send(1, 0, data_); },
        [this] {
          Vector received;
          world_.recv(0, 0, received);
          return first_and_last(received);
        });
    by_rankview("rankview, back", [this](rv::EngineView& engine) {
      if (first_and_last(engine.apply_sync(make, data_.size())) != 2.0) bench::give_up("a wrong result");
    });
    by_hand(
        "archive, there",
        [this] {
          boost::mpi::packed_oarchive archive(world_);
          archive << data_;
          world_.send(1, 0, archive);
        },
        [this] {
          boost::mpi::packed_iarchive archive(world_);
          world_.recv(0, 0, archive);
          Vector received;
          archive >> received;
          return first_and_last(received);
        });
    raw_back();
  }

  void forget() { times_.clear(); }

  void report() {
    if (mpi_.rank != 0) return;
    const std::string what = std::to_string(data_.size() * sizeof(double) / 1024) + " kB";
    const auto row = [&](const std::string& direction, const std::string& floor_name, const std::string& floor) {
      const double here = bench::median(times_["rankview, " + direction]);
      const double there = bench::median(times_[floor]);
      bench::print({.name = "vector<double> of " + what + ", " + direction,
                    .unit = "us",
                    .rankview = here,
                    .floor_name = floor_name,
                    .floor = there,
                    .ratio = here / there});
    };
    row("there", "MPI_Send", "raw, there");
    row("there", "Boost.MPI send", "Boost.MPI, there");
    row("there", "packed archives", "archive, there");
    row("back", "MPI_Send", "raw, back");
  }

 private:
  [[nodiscard]] int size() const { return static_cast<int>(data_.size()); }

  void add(const std::string& name, bench::clock::time_point start) { times_[name].push_back(bench::seconds_since(start) * 1e6); }

  // Rank 0 sends, the other receives into fresh memory and answers with a double, as an engine does.
  template <class Send, class Receive>
  void by_hand(const std::string& name, Send send, Receive receive) {
    for (int i = 0; i < repetitions; ++i) {
      double answer = 0;
      MPI_Barrier(MPI_COMM_WORLD);
      const auto start = bench::clock::now();
      if (mpi_.rank == 0) {
        send();
        MPI_Recv(&answer, 1, MPI_DOUBLE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (answer != 1.0) bench::give_up("a wrong result");
        add(name, start);
      } else {
        answer = receive();
        MPI_Send(&answer, 1, MPI_DOUBLE, 0, 1, MPI_COMM_WORLD);
      }
    }
  }

  void raw_back() {
    for (int i = 0; i < repetitions; ++i) {
      std::size_t wanted = data_.size();
      MPI_Barrier(MPI_COMM_WORLD);
      const auto start = bench::clock::now();
      if (mpi_.rank == 0) {
        MPI_Send(&wanted, 1, MPI_UNSIGNED_LONG, 1, 1, MPI_COMM_WORLD);
        Vector received(wanted);
        MPI_Recv(received.data(), size(), MPI_DOUBLE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (first_and_last(received) != 2.0) bench::give_up("a wrong result");
        add("raw, back", start);
      } else {
        MPI_Recv(&wanted, 1, MPI_UNSIGNED_LONG, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        const Vector made = make(wanted);
        MPI_Send(made.data(), size(), MPI_DOUBLE, 0, 1, MPI_COMM_WORLD);
      }
    }
  }

  template <class Call>
  void by_rankview(const std::string& name, Call call) {
    cluster_.run([&](rv::Client& rc) {
      rv::EngineView engine = rc[0];
      engine.apply_sync([] {});
      for (int i = 0; i < repetitions; ++i) {
        const auto start = bench::clock::now();
        call(engine);
        add(name, start);
      }
    });
  }

  static constexpr int repetitions = 5;

  const bench::Mpi& mpi_;
  boost::mpi::communicator world_;
  rv::Cluster cluster_;
  Vector data_;
  std::map<std::string, std::vector<double>> times_;  // microseconds
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size != 2) bench::give_up("run it as mpirun -np 2");
  Bulk bulk(mpi, static_cast<std::size_t>(bench::number(argc, argv, "bytes", 8 << 20)) / sizeof(double));
  bulk.round();
  bulk.forget();
  for (long round = bench::number(argc, argv, "rounds", bench::quick(argc, argv) ? 3 : 9); round > 0; --round) bulk.round();
  bulk.report();
}
