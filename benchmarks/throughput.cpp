// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2|3|5 throughput [--quick] [--rounds=N] [--items=N] [--level=...]
//
// Tasks a second of a load-balanced map of a trivial function, chunksize 1, against the master-worker loop that one would write by hand:
// one task a message, 1, 2 or 8 tasks in flight for each worker. Once more with flags that make each task's record longer.
#include "loop.hpp"
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

double trivial(double x) { return x * 0.5 + 1.0; }

// ---- measuring -----------------------------------------------------------------------------------------------------------------

void check(const std::vector<double>& input, const std::vector<double>& output) {
  if (output.size() != input.size()) bench::give_up("a result of the wrong size");
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (output[i] != trivial(input[i])) bench::give_up("a wrong result of item " + std::to_string(i));
  }
}

// Tasks a second of one map by `run`, which returns the results; on rank 0.
template <class Run>
double rate(const std::vector<double>& input, Run run) {
  const auto start = bench::clock::now();
  const std::vector<double> output = run();
  const double elapsed = bench::seconds_since(start);
  check(input, output);
  return static_cast<double>(input.size()) / elapsed;
}

class Throughput {
 public:
  Throughput(const bench::Mpi& mpi, std::size_t items) : mpi_(mpi), cluster_(MPI_COMM_WORLD), input_(items) {
    for (std::size_t i = 0; i < items; ++i) input_[i] = static_cast<double>(i) * 0.25;
  }

  // All of them once.
  void round() {
    by_hand(2);
    by_rankview("map_sync", [this](rv::LoadBalancedView& view) { return view.map_sync(trivial, input_); });
    by_hand(1);
    by_rankview("map", [this](rv::LoadBalancedView& view) { return view.map(trivial, input_).get(); });
    by_hand(8);
    by_rankview("map with flags", [this](rv::LoadBalancedView& view) {
      return view.with({.retries = 1, .timeout = std::chrono::seconds(60), .priority = 1, .label = "a label"}).map(trivial, input_).get();
    });
  }

  void forget() { rates_.clear(); }

  void report() {
    if (mpi_.rank != 0) return;
    const double floor = bench::median(rates_["2"]) / 1e6;
    const std::string where = ", np " + std::to_string(mpi_.size) + mpi_.suffix();
    for (const char* const verb : {"map_sync", "map", "map with flags"}) {
      const double here = bench::median(rates_[verb]) / 1e6;
      bench::print({.name = std::string(verb) + where,
                    .unit = "M tasks/s",
                    .rankview = here,
                    .floor_name = "master-worker loop, 2 in flight",
                    .floor = floor,
                    .ratio = here / floor,
                    .at_least = mpi_.usual() ? 3.0 : NAN});
    }
    for (const char* const in_flight : {"1", "8"}) {
      const double other = bench::median(rates_[in_flight]) / 1e6;
      const double here = bench::median(rates_["map"]) / 1e6;
      bench::print({.name = "map" + where,
                    .unit = "M tasks/s",
                    .rankview = here,
                    .floor_name = std::string("the loop, ") + in_flight + " in flight",
                    .floor = other,
                    .ratio = here / other});
    }
  }

 private:
  void by_hand(int in_flight) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_.rank == 0) {
      rates_[std::to_string(in_flight)].push_back(rate(input_, [&] { return bench::loop::master(input_, mpi_.size - 1, in_flight); }));
    } else {
      bench::loop::work(trivial);
    }
  }

  // The engines are up when the time begins, as the loop's workers are; how long the function takes is not known yet.
  template <class Map>
  void by_rankview(const std::string& name, Map map) {
    cluster_.run([&](rv::Client& rc) {
      rv::LoadBalancedView view = rc.load_balanced_view();
      rc[rv::all].apply_sync([] {});
      rates_[name].push_back(rate(input_, [&] { return map(view); }));
    });
  }

  const bench::Mpi& mpi_;
  rv::Cluster cluster_;
  std::vector<double> input_;
  std::map<std::string, std::vector<double>> rates_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 2) bench::give_up("run it as mpirun -np 2, or more");
  const bool quick = bench::quick(argc, argv);
  Throughput throughput(mpi, static_cast<std::size_t>(bench::number(argc, argv, "items", quick ? 200'000 : 1'000'000)));
  throughput.round();
  throughput.forget();
  for (long round = bench::number(argc, argv, "rounds", quick ? 3 : 9); round > 0; --round) throughput.round();
  throughput.report();
}
