// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The smallest, the largest and the mean number of a file that is larger than the memory there is: all engines together may take a quarter
// of its size. None can load its share in one piece; in small pieces it is no trouble. Three reductions make one answer of what they find.
//
// Run:    mpirun -np 5 ./out_of_core_mean [MiB]
//
// The program writes the file itself, where TMPDIR says; every rank must be able to read it there.
//
// Output, where what stands in <> differs from run to run:
//   <256> MiB of numbers, <4> engines, each with memory for <16.0> MiB
//   shares in one piece:    std::bad_alloc on all engines
//   in pieces of 0.25 MiB:  min -1.000000, max 3.000000, mean 1.000000

#include <rankview/rankview.hpp>

#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;
namespace rv = rankview;

constexpr std::size_t mebi = 1024 * 1024;
constexpr std::size_t piece = mebi / 4 / sizeof(double);

// While it lives, the process can take so many bytes of memory beyond those that it has already.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t bytes) {
    getrlimit(RLIMIT_DATA, &before_);
    rlimit limit = before_;
    limit.rlim_cur = std::min(limit.rlim_cur, taken() + rlim_t{bytes});
    if (setrlimit(RLIMIT_DATA, &limit) != 0) throw std::runtime_error("the memory limit cannot be set");
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() { setrlimit(RLIMIT_DATA, &before_); }

 private:
  static rlim_t taken() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
      if (rlim_t kibi = 0; word == "VmData:" && status >> kibi) return kibi * 1024;
    throw std::runtime_error("/proc/self/status does not tell how much memory is taken");
  }

  rlimit before_{};
};

// Is removed with this.
struct TemporaryFile {
  std::string path = fs::temp_directory_path() / ("out_of_core_mean." + std::to_string(getpid()));

  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
};

// n numbers at equal distances from -1 to 3, in no order to speak of.
void write(const std::string& path, std::size_t n) {
  std::ofstream file(path, std::ios::binary);
  for (std::size_t begin = 0; begin < n; begin += piece) {
    std::vector<double> numbers;
    for (std::size_t i = begin; i < std::min(begin + piece, n); ++i)
      numbers.push_back(4 * static_cast<double>(i * 1'000'003 % n) / static_cast<double>(n - 1) - 1);
    file.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(double)));
  }
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

std::vector<double> read(const std::string& path, std::size_t begin, std::size_t end) {
  std::vector<double> numbers(end - begin);
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(begin * sizeof(double)));
  file.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(double)));
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return numbers;
}

// Looks at the engine's share of the file's n numbers, `at_once` of them at once, with so many bytes of memory.
void survey(const std::string& path, std::size_t n, std::size_t at_once, std::size_t memory) {
  const MemoryLimit limit(memory);
  const auto engine = static_cast<std::size_t>(rv::this_engine::id());
  const auto engines = static_cast<std::size_t>(rv::this_engine::size());
  const std::size_t end = n * (engine + 1) / engines;

  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  double sum = 0;
  for (std::size_t begin = n * engine / engines; begin < end; begin += at_once)
    for (const double x : read(path, begin, std::min(begin + at_once, end))) {
      least = std::min(least, x);
      most = std::max(most, x);
      sum += x;
    }
  rv::this_engine::vars().set("min", least);
  rv::this_engine::vars().set("max", most);
  rv::this_engine::vars().set("sum", sum);
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [=](rv::Client& rc) {
    const rv::DirectView all = rc[rv::all];
    const std::size_t size = argc > 1 ? std::stoul(argv[1]) : 256;
    const std::size_t n = size * mebi / sizeof(double);
    const std::size_t memory = size * mebi / 4 / all.size();
    std::printf("%zu MiB of numbers, %zu engines, each with memory for %.1f MiB\n", size, all.size(), static_cast<double>(memory) / mebi);

    const TemporaryFile file;
    write(file.path, n);

    for (const auto& outcome : all.apply(survey, file.path, n, n, memory).results()) {
      if (outcome) throw std::runtime_error("an engine could load its share: its system does not keep to the memory limit");
      try {
        std::rethrow_exception(outcome.error());
      } catch (const rv::RemoteError& error) {
        if (error.type_name() != "std::bad_alloc") throw;
      }
    }
    std::printf("shares in one piece:    std::bad_alloc on all engines\n");

    all.apply_sync(survey, file.path, n, piece, memory);
    const double least = all.reduce_sync<double>("min", rv::min);
    const double most = all.reduce_sync<double>("max", rv::max);
    const double sum = all.reduce_sync<double>("sum", std::plus<>());
    std::printf("in pieces of 0.25 MiB:  min %f, max %f, mean %f\n", least, most, sum / static_cast<double>(n));
  });
}
