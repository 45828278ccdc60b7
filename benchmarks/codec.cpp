// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// codec [Google Benchmark's options]
//
// The pure parts, without mpirun: encoding against Boost's archives, the wire's records, and the scheduler's cost of a task.
#include "scheduler/scheduler.hpp"
#include "wire/messages.hpp"

#include <benchmark/benchmark.h>
#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/packed_iarchive.hpp>
#include <boost/mpi/packed_oarchive.hpp>
#include <boost/serialization/array.hpp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/tracking.hpp>
#include <boost/serialization/vector.hpp>
#include <rankview/detail/codec.hpp>

#include <mpi.h>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

namespace {

// What an argument often is: some of everything. As Boost.Serialization handles a struct by default.
struct Sample {
  int number = 0;
  std::string text;
  std::array<double, 8> values{};

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& number& text& values;
  }
};

// The same, without versions and tracking: the cheapest that Boost.Serialization knows.
struct LeanSample : Sample {
  template <class Archive>
  void serialize(Archive& archive, unsigned version) {
    Sample::serialize(archive, version);
  }
};

// A string, a vector and a number, without a serialize: what the codec makes of the members that it finds.
struct Plain {
  std::string text;
  std::vector<double> values;
  int number = 0;
};

// The same, as its author would write it.
struct Written : Plain {
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text& values& number;
  }
};

// The same members, for the codec's own lanes.
using Fields = std::tuple<int, std::string, std::array<double, 8>>;

}  // namespace

BOOST_CLASS_IMPLEMENTATION(LeanSample, boost::serialization::object_serializable)
BOOST_CLASS_TRACKING(LeanSample, boost::serialization::track_never)
BOOST_CLASS_IMPLEMENTATION(Written, boost::serialization::object_serializable)
BOOST_CLASS_TRACKING(Written, boost::serialization::track_never)

namespace {

template <class T>
T sample() {
  T value;
  value.number = 42;
  value.text = "a string of some length";
  value.values = {1, 2, 3, 4, 5, 6, 7, 8};
  return value;
}
template <>
Fields sample<Fields>() {
  const auto value = sample<Sample>();
  return {value.number, value.text, value.values};
}

namespace detail = rankview::detail;
namespace wire = rankview::wire;
namespace scheduler = rankview::scheduler;

// ---- out and in again ----------------------------------------------------------------------------------------------------------

template <class T>
void rankview_codec(benchmark::State& state) {
  const T value = sample<T>();
  detail::Writer out;
  for (auto _ : state) {
    out.rewind({0, 0, 0});
    detail::save(out, value);
    detail::Reader in(out.bytes.bytes());
    T copy = detail::load<T>(in);
    benchmark::DoNotOptimize(copy);
  }
  state.counters["bytes"] = static_cast<double>(out.bytes.size());
}
BENCHMARK(rankview_codec<Sample>)->Name("codec/rankview/struct");
BENCHMARK(rankview_codec<LeanSample>)->Name("codec/rankview/struct, lean traits");
BENCHMARK(rankview_codec<Plain>)->Name("codec/rankview/aggregate");
BENCHMARK(rankview_codec<Written>)->Name("codec/with a serialize/aggregate");
BENCHMARK(rankview_codec<Fields>)->Name("codec/rankview/tuple");

// By memcpy, as one would by hand: the floor.
void by_hand(benchmark::State& state) {
  const auto value = sample<Sample>();
  std::vector<char> bytes(256);
  for (auto _ : state) {
    char* to = bytes.data();
    const std::uint64_t size = value.text.size();
    to = static_cast<char*>(std::memcpy(to, &value.number, sizeof(value.number))) + sizeof(value.number);
    to = static_cast<char*>(std::memcpy(to, &size, sizeof(size))) + sizeof(size);
    to = static_cast<char*>(std::memcpy(to, value.text.data(), size)) + size;
    std::memcpy(to, value.values.data(), sizeof(value.values));
    benchmark::DoNotOptimize(bytes.data());
    benchmark::ClobberMemory();
    Sample copy;
    std::uint64_t length = 0;
    const char* from = bytes.data();
    std::memcpy(&copy.number, from, sizeof(copy.number));
    std::memcpy(&length, from + sizeof(copy.number), sizeof(length));
    from += sizeof(copy.number) + sizeof(length);
    copy.text.assign(from, length);
    std::memcpy(copy.values.data(), from + length, sizeof(copy.values));
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(by_hand)->Name("codec/by hand/struct");

template <class T>
void packed_archive(benchmark::State& state) {
  const boost::mpi::communicator world;
  const T value = sample<T>();
  for (auto _ : state) {
    boost::mpi::packed_oarchive out(world);
    out << value;
    boost::mpi::packed_iarchive in(world);
    in.resize(out.size());
    std::memcpy(in.address(), out.address(), out.size());
    T copy;
    in >> copy;
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(packed_archive<Sample>)->Name("codec/boost::mpi::packed_oarchive/struct");
BENCHMARK(packed_archive<LeanSample>)->Name("codec/boost::mpi::packed_oarchive/struct, lean traits");

template <class T>
void binary_archive(benchmark::State& state) {
  const T value = sample<T>();
  for (auto _ : state) {
    std::stringstream stream;
    boost::archive::binary_oarchive out(stream);
    out << value;
    boost::archive::binary_iarchive in(stream);
    T copy;
    in >> copy;
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(binary_archive<Sample>)->Name("codec/boost::archive::binary_oarchive/struct");
BENCHMARK(binary_archive<LeanSample>)->Name("codec/boost::archive::binary_oarchive/struct, lean traits");

// 8 MiB: encoding attaches the caller's memory, decoding claims the place; the one copy stands for the transport's. bulk.cpp sends it.
void large_vector(benchmark::State& state) {
  const std::vector<double> value(1U << 20U, 1.0);
  for (auto _ : state) {
    detail::Writer out;
    detail::save(out, value);
    const std::vector<std::uint64_t> sizes{out.attachments.front().size};
    detail::Claims claims(sizes);
    detail::Reader in(out.bytes.bytes(), &claims);
    std::vector<double> copy = detail::load<std::vector<double>>(in);
    std::memcpy(claims.places().front().data, out.attachments.front().data, out.attachments.front().size);
    benchmark::DoNotOptimize(copy.data());
  }
}
BENCHMARK(large_vector)->Name("codec/rankview/8 MiB of doubles")->Unit(benchmark::kMicrosecond);

void large_vector_by_hand(benchmark::State& state) {
  const std::vector<double> value(1U << 20U, 1.0);
  for (auto _ : state) {
    std::vector<double> copy(value.size());
    std::memcpy(copy.data(), value.data(), value.size() * sizeof(double));
    benchmark::DoNotOptimize(copy.data());
  }
}
BENCHMARK(large_vector_by_hand)->Name("codec/by hand/8 MiB of doubles")->Unit(benchmark::kMicrosecond);

void large_vector_packed(benchmark::State& state) {
  const boost::mpi::communicator world;
  const std::vector<double> value(1U << 20U, 1.0);
  for (auto _ : state) {
    boost::mpi::packed_oarchive out(world);
    out << value;
    boost::mpi::packed_iarchive in(world);
    in.resize(out.size());
    std::memcpy(in.address(), out.address(), out.size());
    std::vector<double> copy;
    in >> copy;
    benchmark::DoNotOptimize(copy.data());
  }
}
BENCHMARK(large_vector_packed)->Name("codec/boost::mpi::packed_oarchive/8 MiB of doubles")->Unit(benchmark::kMicrosecond);

// ---- the wire ------------------------------------------------------------------------------------------------------------------

// A batch of so many items of 8 bytes, written, read, and walked. Time for each item.
void batch(benchmark::State& state) {
  const auto items = static_cast<std::uint64_t>(state.range(0));
  const std::vector<double> arguments(items, 1.0);
  detail::Writer out;
  for (auto _ : state) {
    out.rewind({0, 0, 0});
    wire::Batch record;
    record.call = 7;
    record.count = items;
    record.stride = sizeof(double);
    record.items = std::as_bytes(std::span(arguments));
    wire::write(out, record);
    detail::Reader in(out.bytes.bytes());
    const wire::Record read = wire::read(in);
    wire::ItemCursor cursor(std::get<wire::Batch>(read));
    for (std::uint64_t i = 0; i < items; ++i) benchmark::DoNotOptimize(cursor.next());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(batch)->Name("wire/batch, items")->Arg(1)->Arg(100)->Arg(1000);

// The results of as many.
void results(benchmark::State& state) {
  const auto items = static_cast<std::uint64_t>(state.range(0));
  const double value = 1.0;
  detail::Writer out;
  for (auto _ : state) {
    out.rewind({0, 0, 0});
    wire::ResultsWriter writer(out);
    for (std::uint64_t i = 0; i < items; ++i) writer.add(7, i, 1, 2, false, std::as_bytes(std::span(&value, 1)));
    detail::Reader in(out.bytes.bytes());
    const wire::Record read = wire::read(in);
    wire::ResultCursor cursor(std::get<wire::Results>(read));
    for (std::uint64_t i = 0; i < items; ++i) benchmark::DoNotOptimize(cursor.next());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(results)->Name("wire/results, items")->Arg(1)->Arg(100)->Arg(1000);

// ---- the scheduler -------------------------------------------------------------------------------------------------------------

// Hands out and takes back tasks of `busy` nanoseconds in a steady state where every engine has work. Time for each grant; flat, if the
// cost does not depend on the number of engines.
void schedule(benchmark::State& state, scheduler::Nanoseconds busy) {
  const auto engines = static_cast<int>(state.range(0));
  constexpr std::uint64_t call = 1;
  constexpr std::uint64_t kind = 1;
  constexpr std::uint64_t block = 1024;
  scheduler::Scheduler tasks;
  for (int id = 0; id < engines; ++id) tasks.add_engine(id);

  std::uint64_t submitted = 0;
  // Always enough waiting that nobody's share of the rest is the limit.
  const std::uint64_t plenty = 64 * static_cast<std::uint64_t>(engines) + 100'000;
  const auto fill = [&] {
    while (tasks.waiting() < plenty) {
      tasks.submit({.call = call, .kind = kind, .first = submitted, .count = block, .chunks = block, .item_bytes = 8});
      submitted += block;
    }
  };
  std::deque<scheduler::Grant> running;
  const auto hand_out = [&] {
    for (scheduler::Grant grant; tasks.next(grant);) running.push_back(grant);
  };
  const auto finish_one = [&] {
    const scheduler::Grant done = running.front();
    running.pop_front();
    const std::uint64_t items = done.end - done.begin;
    tasks.finished(done.engine, call, done.begin, done.end, busy * static_cast<scheduler::Nanoseconds>(items));
    return items;
  };
  fill();
  hand_out();
  // Until durations are known and every engine has what it will have.
  for (int i = 0; i < 8 * engines; ++i) {
    finish_one();
    fill();
    hand_out();
  }

  std::uint64_t items = 0;
  for (auto _ : state) {
    items += finish_one();
    fill();
    hand_out();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(items));
}
BENCHMARK_CAPTURE(schedule, long, 10'000'000)->Name("scheduler/tasks of 10 ms, engines")->Arg(4)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(schedule, short, 50'000)->Name("scheduler/tasks of 50 us, engines")->Arg(4)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(schedule, tiny, 50)->Name("scheduler/tasks of 50 ns, engines")->Arg(4)->Arg(100)->Arg(10'000);

}  // namespace

int main(int argc, char** argv) {
  // Boost.MPI's archives want MPI.
  MPI_Init(&argc, &argv);
  benchmark::Initialize(&argc, argv);
  if (!benchmark::ReportUnrecognizedArguments(argc, argv)) benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  MPI_Finalize();
}
