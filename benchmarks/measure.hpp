// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <mpi.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

// What the benchmark programs share: options, time, medians, and one line of JSON for each figure, of which table.py makes the table.
namespace bench {

using clock = std::chrono::steady_clock;

inline double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

// The value in the middle: what a busy machine disturbs least.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 != 0) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// `--name=value`, or `otherwise`.
inline std::string option(int argc, char** argv, std::string_view name, std::string_view otherwise) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with("--") && argument.substr(2).starts_with(name) && argument.substr(2 + name.size()).starts_with("="))
      return std::string(argument.substr(3 + name.size()));
  }
  return std::string(otherwise);
}

inline long number(int argc, char** argv, std::string_view name, long otherwise) {
  return std::stol(option(argc, argv, name, std::to_string(otherwise)));
}

// Whether there is a `--name`.
inline bool has(int argc, char** argv, std::string_view name) {
  return std::any_of(argv + 1, argv + argc, [name](const char* argument) {
    const std::string_view given = argument;
    return given.starts_with("--") && given.substr(2) == name;
  });
}
inline bool quick(int argc, char** argv) { return has(argc, argv, "quick"); }

// MPI for the length of main(), at the level that `--level=single|funneled|serialized|multiple` names. rankview and its floor run under the
// same level, in the same process; multiple is what rv::run() asks for.
class Mpi {
 public:
  Mpi(int& argc, char**& argv) : level_(option(argc, argv, "level", "multiple")) {
    const int wanted = level_ == "single"       ? MPI_THREAD_SINGLE
                       : level_ == "funneled"   ? MPI_THREAD_FUNNELED
                       : level_ == "serialized" ? MPI_THREAD_SERIALIZED
                                                : MPI_THREAD_MULTIPLE;
    int provided = 0;
    MPI_Init_thread(&argc, &argv, wanted, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (provided < wanted && rank == 0) std::fprintf(stderr, "MPI does not provide the thread level %s\n", level_.c_str());
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() { MPI_Finalize(); }

  // What is required is required at the usual level.
  [[nodiscard]] bool usual() const { return level_ == "multiple"; }
  // How the level stands in the name of a figure.
  [[nodiscard]] std::string suffix() const { return usual() ? "" : ", thread level " + level_; }

  int rank = 0;
  int size = 1;

 private:
  std::string level_;
};

// Ends everything: a benchmark that computed nonsense shall not print a figure.
[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "benchmark failed: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

// A line of /proc/self/status such as VmRSS or VmHWM, in bytes.
inline double status(const std::string& name) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) * 1024;
  }
  give_up("no " + name + " in /proc/self/status");
}

// Makes VmHWM, the peak, begin anew.
inline void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// One row of the table. A member that is NaN does not apply.
struct Figure {
  std::string name;
  std::string unit;
  double rankview = NAN;
  std::string floor_name{};
  double floor = NAN;
  double ratio = NAN;    // rankview to floor
  double at_most = NAN;  // required of the ratio, or of the value where there is none
  double at_least = NAN;
};

inline std::string json(double value) {
  if (std::isnan(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

inline void print(const Figure& figure) {
  std::printf(
      R"({"figure": "%s", "unit": "%s", "rankview": %s, "floor_name": "%s", "floor": %s, "ratio": %s, "at_most": %s, "at_least": %s})"
      "\n",
      figure.name.c_str(), figure.unit.c_str(), json(figure.rankview).c_str(), figure.floor_name.c_str(), json(figure.floor).c_str(),
      json(figure.ratio).c_str(), json(figure.at_most).c_str(), json(figure.at_least).c_str());
  std::fflush(stdout);
}

}  // namespace bench
