// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 2|3|5 throughput [--quick] [--rounds=N] [--items=N] [--level=...]
//
// Tasks a second of a load-balanced map of a trivial function, chunksize 1, against the master-worker loop that one would write by hand:
// one task a message, 1, 2 or 8 tasks in flight for each worker.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

double trivial(double x) { return x * 0.5 + 1.0; }

// ---- by hand -------------------------------------------------------------------------------------------------------------------

struct Task {
  std::int64_t item;
  double value;  // the argument on the way out, the result on the way back
};

constexpr int task_tag = 1;
constexpr int stop_tag = 2;

// Tasks are far below the eager limit, so that MPI_Send returns at once, and costs less than MPI_Isend and the test for its end.
void send(const Task& task, int to, int tag) { MPI_Send(&task, sizeof(task), MPI_BYTE, to, tag, MPI_COMM_WORLD); }

void work() {
  for (;;) {
    Task task;
    MPI_Status status;
    MPI_Recv(&task, sizeof(task), MPI_BYTE, 0, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    if (status.MPI_TAG == stop_tag) return;
    task.value = trivial(task.value);
    send(task, 0, task_tag);
  }
}

std::vector<double> master(const std::vector<double>& input, int workers, int in_flight) {
  std::vector<double> output(input.size());
  std::size_t next = 0;
  const auto hand_out = [&](int worker) {
    send({static_cast<std::int64_t>(next), input[next]}, worker, task_tag);
    ++next;
  };
  for (int i = 0; i < in_flight; ++i) {
    for (int worker = 1; worker <= workers && next < input.size(); ++worker) hand_out(worker);
  }
  for (std::size_t received = 0; received < input.size(); ++received) {
    Task result;
    MPI_Status status;
    MPI_Recv(&result, sizeof(result), MPI_BYTE, MPI_ANY_SOURCE, task_tag, MPI_COMM_WORLD, &status);
    if (next < input.size()) hand_out(status.MPI_SOURCE);
    output[static_cast<std::size_t>(result.item)] = result.value;
  }
  for (int worker = 1; worker <= workers; ++worker) send({}, worker, stop_tag);
  return output;
}

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
  }

  void forget() { rates_.clear(); }

  void report() {
    if (mpi_.rank != 0) return;
    const double floor = bench::median(rates_["2"]) / 1e6;
    const std::string where = ", np " + std::to_string(mpi_.size) + mpi_.suffix();
    for (const char* const verb : {"map_sync", "map"}) {
      const double here = bench::median(rates_[verb]) / 1e6;
      bench::print({.name = std::string(verb) + where,
                    .unit = "M tasks/s",
                    .rankview = here,
                    .floor_name = "master-worker loop, 2 in flight",
                    .floor = floor,
                    .ratio = here / floor,
                    .at_least = mpi_.size <= 3 && mpi_.usual() ? 2.0 : NAN});
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
      rates_[std::to_string(in_flight)].push_back(rate(input_, [&] { return master(input_, mpi_.size - 1, in_flight); }));
    } else {
      work();
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
