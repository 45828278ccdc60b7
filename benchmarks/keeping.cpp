// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// mpirun -np 3 keeping [--quick] [--only=hub|everything|strict|open] [--tasks=N] [--items=N]
//
// What it costs to remember: tiny tasks with a hub that records them all, and what that takes on disk; tasks of a millisecond with
// everything on; results that are on disk before they are handed out, against a sync for each; opening a checkpoint of many results.
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/disk.hpp"
#include "measure.hpp"

#include <rankview/rankview.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rv = rankview;

namespace {

double trivial(double x) { return x * 0.5 + 1.0; }

double millisecond(double x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return x;
}

// Where all of it lies; gone in the end. The same on all ranks, of which rank 0 uses it.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rankview-keeping-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) bench::give_up("no directory " + name);
    path_ = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string where(int ranks) { return ", np " + std::to_string(ranks); }

std::vector<double> numbers(std::size_t count) {
  std::vector<double> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<double>(i) * 0.25;
  return all;
}

std::uint64_t bytes_of(const std::string& database) {
  std::uint64_t bytes = 0;
  for (const char* const ending : {"", "-wal"}) {
    std::error_code none;
    const auto size = std::filesystem::file_size(database + ending, none);
    if (!none) bytes += size;
  }
  return bytes;
}

// ---- the hub -------------------------------------------------------------------------------------------------------------------

// Seconds of a map of trivial tasks, until all of it is on disk, too.
double seconds_of_map(const rv::Options& options, std::size_t tasks) {
  rv::Cluster cluster(MPI_COMM_WORLD, options);
  double seconds = 0;
  cluster.run([&](rv::Client& rc) {
    const auto view = rc.load_balanced_view();
    view.map_sync(trivial, numbers(1000));
    const auto values = numbers(tasks);
    const auto start = bench::clock::now();
    const auto results = view.map_sync(trivial, values);
    seconds = bench::seconds_since(start);
    if (results.back() != trivial(values.back())) bench::give_up("a wrong result");
  });
  return seconds;
}

void hub(const bench::Mpi& mpi, const std::optional<Directory>& directory, std::size_t tasks, int rounds) {
  std::vector<double> with;
  std::vector<double> without;
  for (int round = 0; round < rounds; ++round) {
    rv::Options options;
    without.push_back(seconds_of_map(options, tasks));
    if (directory) options.hub = *directory / ("run" + std::to_string(round) + ".db");
    with.push_back(seconds_of_map(options, tasks));
  }
  if (mpi.rank != 0) return;
  const double rate = static_cast<double>(tasks) / bench::median(with) * 1e-6;
  const double bare = static_cast<double>(tasks) / bench::median(without) * 1e-6;
  bench::print({.name = "tiny tasks with the hub" + where(mpi.size),
                .unit = "M tasks/s",
                .rankview = rate,
                .floor_name = "without",
                .floor = bare,
                .ratio = rate / bare});
  const auto bytes = static_cast<double>(bytes_of(*directory / "run0.db"));
  bench::print({.name = "a tiny task in the hub" + where(mpi.size), .unit = "bytes", .rankview = bytes / static_cast<double>(tasks)});
}

// ---- everything ----------------------------------------------------------------------------------------------------------------

void everything(const bench::Mpi& mpi, const std::optional<Directory>& directory, std::size_t tasks, int rounds) {
  std::vector<double> with;
  std::vector<double> without;
  for (int round = 0; round < rounds; ++round) {
    for (const bool on : {false, true}) {
      rv::Options options;
      rv::Flags flags;
      if (on && directory) {
        options.hub = *directory / "all.db";
        options.capture = 4;
        flags.checkpoint = *directory / ("kept" + std::to_string(round));
      }
      rv::Cluster cluster(MPI_COMM_WORLD, options);
      cluster.run([&](rv::Client& rc) {
        const auto view = rc.load_balanced_view().with(flags);
        rc[rv::all].apply_sync([] {});
        const auto start = bench::clock::now();
        view.map_sync(millisecond, numbers(tasks));
        (on ? with : without).push_back(bench::seconds_since(start));
      });
    }
  }
  if (mpi.rank != 0) return;
  const double off = bench::median(without);
  const double on = bench::median(with);
  bench::print({.name = "tasks of 1 ms with hub, capture and checkpoint" + where(mpi.size),
                .unit = "s",
                .rankview = on,
                .floor_name = "without",
                .floor = off,
                .ratio = off / on,
                .at_least = 0.99});
}

// ---- checkpoints ---------------------------------------------------------------------------------------------------------------

double syncs_a_second(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) bench::give_up("cannot open " + path);
  constexpr int times = 100;
  const auto start = bench::clock::now();
  for (int i = 0; i < times; ++i) {
    const char text[64] = {};
    if (::write(file, text, sizeof(text)) != sizeof(text) || ::fdatasync(file) != 0) bench::give_up("cannot write " + path);
  }
  ::close(file);
  return times / bench::seconds_since(start);
}

void strict(const bench::Mpi& mpi, const std::optional<Directory>& directory, std::size_t tasks) {
  double rate = 0;
  rv::Cluster cluster(MPI_COMM_WORLD);
  cluster.run([&](rv::Client& rc) {
    const auto view = rc.load_balanced_view().with({.checkpoint = *directory / "strict", .durable = rv::strict});
    const auto start = bench::clock::now();
    view.map_sync(trivial, numbers(tasks));
    rate = static_cast<double>(tasks) / bench::seconds_since(start);
  });
  if (mpi.rank != 0) return;
  const double bare = syncs_a_second(*directory / "synced");
  bench::print({.name = "strict results" + where(mpi.size),
                .unit = "a second",
                .rankview = rate,
                .floor_name = "a sync each",
                .floor = bare,
                .ratio = rate / bare,
                .at_least = 100});
}

rv::checkpoint::Key key_of(std::uint64_t number) {
  // Spread as a checksum's are.
  return {number, number * 0x9e3779b97f4a7c15U};
}

rv::checkpoint::Checkpoint::Settings settings_of(std::int64_t began) {
  rv::checkpoint::Checkpoint::Settings settings;
  settings.origin.host = "here";
  settings.origin.process = static_cast<std::uint64_t>(::getpid());
  settings.origin.began = began;
  settings.warn = [](const std::string& text) { bench::give_up(text); };
  return settings;
}

// Of 8 bytes each. In a process of its own, whose memory is gone then.
void write_large(const std::string& path, std::uint64_t items) {
  namespace checkpoint = rv::checkpoint;
  const pid_t child = ::fork();
  if (child > 0) {
    int status = 1;
    if (::waitpid(child, &status, 0) != child || status != 0) bench::give_up("no checkpoint is written");
    return;
  }
  {
    checkpoint::Checkpoint kept(checkpoint::posix_disk(), path, settings_of(1));
    const std::uint32_t callable = kept.enlist({"f", "", "d", "f"});
    for (std::uint64_t i = 0; i < items; ++i) {
      const double value = static_cast<double>(i);
      if (kept.add(callable, key_of(i), std::as_bytes(std::span(&value, 1))) == checkpoint::Checkpoint::not_added) {
        kept.flush();
        --i;
      }
    }
  }
  ::_exit(0);
}

void open_large(const std::string& path, std::uint64_t items) {
  namespace checkpoint = rv::checkpoint;
  const double before = bench::status("VmRSS");
  bench::forget_peak();
  const auto start = bench::clock::now();
  checkpoint::Checkpoint again(checkpoint::posix_disk(), path, settings_of(2));
  const double opened = bench::seconds_since(start);
  const double memory = bench::status("VmHWM") - before;
  const std::uint64_t looked_for = std::min<std::uint64_t>(items, 1'000'000);
  rv::detail::Buffer found;
  const auto looking = bench::clock::now();
  for (std::uint64_t i = 0; i < looked_for; ++i) {
    found.truncate(0);
    if (again.find(key_of(i), found) != checkpoint::Found::result) bench::give_up("a result is not found");
  }
  const double each = bench::seconds_since(looking) / static_cast<double>(looked_for);
  const std::string name = "a checkpoint of " + std::to_string(items) + " results";
  const bool all = items == 10'000'000;
  bench::print({.name = name + ", opening it", .unit = "s", .rankview = opened, .at_most = all ? 3 : NAN});
  bench::print({.name = name + ", memory", .unit = "MB", .rankview = memory * 1e-6, .at_most = all ? 400 : NAN});
  bench::print({.name = name + ", finding one, in order", .unit = "us", .rankview = each * 1e6});
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = bench::quick(argc, argv);
  const std::string only = bench::option(argc, argv, "only", "");
  const auto wanted = [&only](const char* what) { return only.empty() || only == what; };
  const auto tasks = static_cast<std::size_t>(bench::number(argc, argv, "tasks", quick ? 200'000 : 5'000'000));
  std::optional<Directory> directory;
  // Before MPI, which does not like forks.
  const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const auto items = static_cast<std::uint64_t>(bench::number(argc, argv, "items", quick ? 300'000 : 10'000'000));
  if (rank == nullptr || std::string(rank) == "0") {
    directory.emplace();
    if (wanted("open")) write_large(*directory / "large", items);
  }
  const bench::Mpi mpi(argc, argv);
  if (mpi.size > 1) {
    if (wanted("hub")) hub(mpi, directory, tasks, quick ? 3 : 7);
    if (wanted("everything")) everything(mpi, directory, quick ? 2000 : 10'000, quick ? 1 : 5);
    if (wanted("strict")) strict(mpi, directory, quick ? 20'000 : 200'000);
  }
  if (mpi.rank == 0 && wanted("open")) open_large(*directory / "large", items);
}
