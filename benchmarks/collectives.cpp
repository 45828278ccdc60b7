// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 3 collectives [--quick] [--rounds=N] [--bytes=N] [--level=...]
//
// The verbs that move data against the MPI collective that each of them is: scatter, gather, push and reduce of a vector of doubles by what
// they move in a second, reduce of one number and barrier by their latency, to which a call and its answer are allowed. Rank 0 is the root
// of both, and has no part of its own in a scatter or a gather.
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace rv = rankview;

namespace {

using Vector = std::vector<double>;

// All numbers here are whole and small, so sums are exact in any order.
double sum(const Vector& v) { return std::reduce(v.begin(), v.end()); }

// So that what was there before is not taken for the result.
void wipe(Vector& v) { std::fill(v.begin(), v.end(), 0.0); }

void expect(double result, double expected, const std::string& what) {
  if (result != expected) bench::give_up("a wrong result of " + what);
}

// New memory comes from the system page by page, and how long that takes depends on what was given back before. So each measurement that
// includes it begins with as much of it just given back.
void take_and_free(std::size_t size) { expect(sum(Vector(size)), 0, "adding zeros"); }
void take_and_free_size_of(const Vector& v) { take_and_free(v.size()); }

class Collectives {
 public:
  Collectives(const bench::Mpi& mpi, std::size_t size) : mpi_(mpi), cluster_(MPI_COMM_WORLD), whole_(size) {
    for (std::size_t i = 0; i < size; ++i) whole_[i] = static_cast<double>(i % 1000);
    sum_ = sum(whole_);
    const auto engines = static_cast<std::size_t>(mpi_.size) - 1;
    counts_.push_back(0);
    offsets_.push_back(0);
    for (std::size_t i = 0; i < engines; ++i) {
      offsets_.push_back(offsets_.back() + counts_.back());
      counts_.push_back(static_cast<int>(size / engines + (i < size % engines ? 1 : 0)));
    }
    part_.resize(static_cast<std::size_t>(own_count()));
    received_.resize(size);
    // The engines' variables, of the right sizes.
    cluster_.run([this](rv::Client& rc) {
      const rv::DirectView all = rc[rv::all];
      all.scatter_sync("part", whole_);
      all.push_sync("whole", whole_);
      all.push_sync("received", whole_);
      all.push_sync("one", 1.0);
    });
  }

  // A B A B ..., so that whatever disturbs one disturbs the other.
  void round(int calls) {
    for (int i = 0; i < 5; ++i) {
      scatter();
      gather();
      push();
      reduce();
      scatter_anew();
      gather_anew();
      push_anew();
      reduce_anew();
    }
    latencies(calls);
  }

  void forget() { times_.clear(); }

  void report() {
    if (mpi_.rank != 0) return;
    report_speed("scatter", "MPI_Scatterv");
    report_speed("gather", "MPI_Gatherv");
    report_speed("push", "MPI_Bcast");
    report_speed("scatter", "MPI_Scatterv", fresh);
    report_speed("gather", "MPI_Gatherv", fresh);
    report_speed("push", "MPI_Bcast", fresh);
    report_speed("reduce", "MPI_Reduce");
    // Its result is always in new memory; this tells how much of the time that is.
    report_speed("reduce", "MPI_Reduce", fresh, false);
    report_latency("reduce of one double", "MPI_Reduce", time("reduce, one"), time("MPI_Reduce, one"));
    report_latency("barrier", "MPI_Barrier", time("barrier"), time("MPI_Barrier"));
  }

 private:
  inline static const std::string fresh = " into new memory";

  void scatter() {
    by_hand(
        "MPI_Scatterv", [this] { wipe(part_); }, [this] { scatter_into(part_); }, [this] { expect_on_engines(part_, 1, "MPI_Scatterv"); });
    by_rankview(
        "scatter", [](const rv::DirectView& all) { all.apply_sync(wipe, rv::ref("part")); },
        [this](const rv::DirectView& all) { all.scatter_sync("part", whole_); },
        [this](const rv::DirectView& all) { expect_on_engines(all, "part", 1, "scatter"); });
  }
  void scatter_anew() {
    by_hand(
        "MPI_Scatterv" + fresh, [this] { take_and_free(part_.size()); },
        [this] {
          made_ = Vector(part_.size());
          scatter_into(made_);
        },
        [this] { expect_on_engines(made_, 1, "MPI_Scatterv"); });
    by_rankview(
        "scatter" + fresh, [](const rv::DirectView& all) { all.apply_sync(take_and_free_size_of, rv::ref("part")); },
        [this](const rv::DirectView& all) { all.scatter_sync("made", whole_); },
        [this](const rv::DirectView& all) { expect_on_engines(all, "made", 1, "scatter"); });
  }

  void gather() {
    by_hand(
        "MPI_Gatherv", [this] { wipe(received_); }, [this] { gather_into(received_); },
        [this] { expect_here(received_, 1, "MPI_Gatherv"); });
    by_rankview(
        "gather", [this](const rv::DirectView&) { wipe(received_); },
        [this](const rv::DirectView& all) { all.gather_into_sync("part", received_); },
        [this](const rv::DirectView&) { expect_here(received_, 1, "gather"); });
  }
  void gather_anew() {
    by_hand(
        "MPI_Gatherv" + fresh, [this] { take_and_free(here(whole_.size())); },
        [this] {
          made_ = Vector(here(whole_.size()));
          gather_into(made_);
        },
        [this] { expect_here(made_, 1, "MPI_Gatherv"); });
    by_rankview(
        "gather" + fresh, [this](const rv::DirectView&) { take_and_free(whole_.size()); },
        [this](const rv::DirectView& all) { made_ = all.gather_sync<double>("part"); },
        [this](const rv::DirectView&) { expect_here(made_, 1, "gather"); });
  }

  void push() {
    const int engines = mpi_.size - 1;
    by_hand(
        "MPI_Bcast", [this] { wipe(received_); }, [this] { broadcast(received_); },
        [=, this] { expect_on_engines(received_, engines, "MPI_Bcast"); });
    by_rankview(
        "push", [](const rv::DirectView& all) { all.apply_sync(wipe, rv::ref("received")); },
        [this](const rv::DirectView& all) { all.push_sync("received", whole_); },
        [=, this](const rv::DirectView& all) { expect_on_engines(all, "received", engines, "push"); });
  }
  void push_anew() {
    const int engines = mpi_.size - 1;
    by_hand(
        "MPI_Bcast" + fresh, [this] { take_and_free(elsewhere(whole_.size())); },
        [this] {
          made_ = Vector(elsewhere(whole_.size()));
          broadcast(made_);
        },
        [=, this] { expect_on_engines(made_, engines, "MPI_Bcast"); });
    by_rankview(
        "push" + fresh, [](const rv::DirectView& all) { all.apply_sync(take_and_free_size_of, rv::ref("whole")); },
        [this](const rv::DirectView& all) { all.push_sync("made", whole_); },
        [=, this](const rv::DirectView& all) { expect_on_engines(all, "made", engines, "push"); });
  }

  void reduce() {
    const int engines = mpi_.size - 1;
    by_hand(
        "MPI_Reduce", [this] { wipe(received_); }, [this] { reduce_into(received_); },
        [=, this] { expect_here(received_, engines, "MPI_Reduce"); });
    by_rankview(
        "reduce", [this](const rv::DirectView&) { take_and_free(whole_.size()); },
        [this](const rv::DirectView& all) { made_ = all.reduce_sync<Vector>("whole", std::plus<>()); },
        [=, this](const rv::DirectView&) { expect_here(made_, engines, "reduce"); });
  }
  void reduce_anew() {
    const int engines = mpi_.size - 1;
    by_hand(
        "MPI_Reduce" + fresh, [this] { take_and_free(here(whole_.size())); },
        [this] {
          made_ = Vector(here(whole_.size()));
          reduce_into(made_);
        },
        [=, this] { expect_here(made_, engines, "MPI_Reduce"); });
  }

  void latencies(int calls) {
    double one = 1;
    double all = 0;
    mean_by_hand("MPI_Reduce, one", calls, [&] { MPI_Reduce(&one, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD); });
    if (mpi_.rank == 0) expect(all, mpi_.size, "MPI_Reduce");
    mean_by_rankview("apply", calls, [](const rv::DirectView& view) { view.apply_sync([] {}); });
    mean_by_rankview("reduce, one", calls, [this](const rv::DirectView& view) {
      expect(view.reduce_sync<double>("one", std::plus<>()), mpi_.size - 1, "reduce");
    });
    mean_by_hand("MPI_Barrier", calls, [] { MPI_Barrier(MPI_COMM_WORLD); });
    mean_by_rankview("barrier", calls, [](const rv::DirectView& view) { view.barrier_sync(); });
  }

  // ---- the collectives of MPI; rank 0 gives, or gets, everything ----

  void scatter_into(Vector& to) {
    MPI_Scatterv(whole_.data(), counts_.data(), offsets_.data(), MPI_DOUBLE, to.data(), own_count(), MPI_DOUBLE, 0, MPI_COMM_WORLD);
  }
  void gather_into(Vector& to) {
    MPI_Gatherv(part_.data(), own_count(), MPI_DOUBLE, to.data(), counts_.data(), offsets_.data(), MPI_DOUBLE, 0, MPI_COMM_WORLD);
  }
  void broadcast(Vector& to) { MPI_Bcast(mpi_.rank == 0 ? whole_.data() : to.data(), size(), MPI_DOUBLE, 0, MPI_COMM_WORLD); }
  // As MPI wants it, and rankview does it, rank 0 puts in what its result holds before.
  void reduce_into(Vector& to) {
    if (mpi_.rank == 0) {
      MPI_Reduce(MPI_IN_PLACE, to.data(), size(), MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    } else {
      MPI_Reduce(whole_.data(), nullptr, size(), MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    }
  }

  [[nodiscard]] int size() const { return static_cast<int>(whole_.size()); }
  [[nodiscard]] std::size_t here(std::size_t size) const { return mpi_.rank == 0 ? size : 0; }
  [[nodiscard]] std::size_t elsewhere(std::size_t size) const { return mpi_.rank == 0 ? 0 : size; }
  [[nodiscard]] int own_count() const { return counts_[static_cast<std::size_t>(mpi_.rank)]; }

  // ---- measuring ----

  void add(const std::string& name, double seconds) { times_[name].push_back(seconds * 1e6); }

  // rankview's calls end when all engines are done, so these do.
  template <class Prepare, class Call, class Check>
  void by_hand(const std::string& name, Prepare prepare, Call call, Check check) {
    prepare();
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = bench::clock::now();
    call();
    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_.rank == 0) add(name, bench::seconds_since(start));
    check();
    made_ = Vector();
  }

  template <class Prepare, class Call, class Check>
  void by_rankview(const std::string& name, Prepare prepare, Call call, Check check) {
    cluster_.run([&](rv::Client& rc) {
      const rv::DirectView all = rc[rv::all];
      prepare(all);
      all.apply_sync([] {});
      const auto start = bench::clock::now();
      call(all);
      add(name, bench::seconds_since(start));
      check(all);
      made_ = Vector();
      all.erase_sync("made");
    });
  }

  template <class Call>
  void mean_by_hand(const std::string& name, int calls, Call call) {
    call();
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = bench::clock::now();
    for (int i = 0; i < calls; ++i) call();
    if (mpi_.rank == 0) add(name, bench::seconds_since(start) / calls);
    MPI_Barrier(MPI_COMM_WORLD);
  }

  template <class Call>
  void mean_by_rankview(const std::string& name, int calls, Call call) {
    cluster_.run([&](rv::Client& rc) {
      const rv::DirectView all = rc[rv::all];
      for (int i = 0; i < 20; ++i) call(all);
      const auto start = bench::clock::now();
      for (int i = 0; i < calls; ++i) call(all);
      add(name, bench::seconds_since(start) / calls);
    });
  }

  // ---- checking: `times` the sum of what rank 0 has ----

  void expect_here(const Vector& received, int times, const std::string& what) const {
    if (mpi_.rank == 0) expect(sum(received), sum_ * times, what);
  }
  void expect_on_engines(const Vector& received, int times, const std::string& what) const {
    const double own = mpi_.rank == 0 ? 0 : sum(received);
    double all = 0;
    MPI_Reduce(&own, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (mpi_.rank == 0) expect(all, sum_ * times, what);
  }
  void expect_on_engines(const rv::DirectView& all, const std::string& name, int times, const std::string& what) const {
    expect(sum(all.apply_sync(sum, rv::ref(name))), sum_ * times, what);
  }

  // ---- reporting ----

  [[nodiscard]] double time(const std::string& name) const { return bench::median(times_.at(name)); }
  [[nodiscard]] std::string suffix() const { return ", np " + std::to_string(mpi_.size) + mpi_.suffix(); }

  // In bytes that rank 0 gives or gets, so that a ratio of 0.9 takes 11 % longer than MPI.
  void report_speed(const std::string& verb, const std::string& floor_name, const std::string& memory = "", bool required = true) {
    const auto bytes = static_cast<double>(whole_.size() * sizeof(double));
    const double here = time(times_.contains(verb + memory) ? verb + memory : verb);
    const double there = time(floor_name + memory);
    bench::print({.name = verb + " of " + std::to_string(std::lround(bytes / 1e6)) + " MB" + memory + suffix(),
                  .unit = "GB/s",
                  .rankview = bytes / here / 1e3,
                  .floor_name = floor_name + memory,
                  .floor = bytes / there / 1e3,
                  .ratio = there / here,
                  .at_least = required && mpi_.usual() ? 0.9 : NAN});
  }

  void report_latency(const std::string& verb, const std::string& floor_name, double here, double there) {
    const double floor = there + time("apply");
    bench::print({.name = verb + suffix(),
                  .unit = "us",
                  .rankview = here,
                  .floor_name = floor_name + " and apply_sync",
                  .floor = floor,
                  .ratio = here / floor,
                  .at_most = mpi_.usual() ? 1.5 : NAN});
  }

  const bench::Mpi& mpi_;
  rv::Cluster cluster_;
  std::vector<int> counts_, offsets_;  // of the ranks' parts
  Vector whole_;                       // what rank 0 gives, and what each of the others has to reduce
  Vector part_;
  Vector received_;
  Vector made_;
  double sum_ = 0;
  std::map<std::string, std::vector<double>> times_;  // microseconds
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Mpi mpi(argc, argv);
  if (mpi.size < 2) bench::give_up("run it as mpirun -np 3");
  const bool quick = bench::quick(argc, argv);
  const auto calls = static_cast<int>(bench::number(argc, argv, "calls", quick ? 300 : 1'000));
  Collectives collectives(mpi, static_cast<std::size_t>(bench::number(argc, argv, "bytes", 80'000'000)) / sizeof(double));
  collectives.round(calls);
  collectives.forget();
  for (long round = bench::number(argc, argv, "rounds", quick ? 3 : 7); round > 0; --round) collectives.round(calls);
  collectives.report();
}
