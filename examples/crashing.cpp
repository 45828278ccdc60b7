// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// A parameter sweep with a solver that somebody else wrote: for some parameters it crashes, hangs, eats memory, gives up or throws. Each
// task runs in a process of its own, so that this is what its result says, and nothing else happens.
//
// Run:    mpirun -np 3 ./crashing
//
// Output, where what stands in <> differs from run to run:
//   solved 35 of 40
//   parameter 3: the task was ended by signal 11 (Segmentation fault) after <0.001> s, with at most <4> MB of memory
//   parameter 11: the task left its process with exit status 3 after <0.001> s, with at most <5> MB of memory; its stderr ends:
//     solver: cannot read the mesh
//   parameter 17: took too long
//   parameter 29: threw std::domain_error: no solution for 29
//   parameter 31: the task was killed after <0.1> s: with its children it had <102> MB of memory, and its memory_limit is 100 MB
//   <2> engines of <2> are alive

#include <rankview/rankview.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

double solve(int parameter) {
  switch (parameter) {
    case 3: {
      const volatile int* const mesh = nullptr;
      return *mesh;
    }
    case 11:
      std::fprintf(stderr, "solver: cannot read the mesh\n");
      std::exit(3);
    case 17:
      for (;;) std::this_thread::sleep_for(1s);
    case 29:
      throw std::domain_error("no solution for " + std::to_string(parameter));
    case 31:
      for (std::vector<std::vector<char>> all;; std::this_thread::sleep_for(1ms)) all.emplace_back(4'000'000, 'x');
    default:
      return 0.5 * parameter;
  }
}

// How a task failed.
std::string why(const rv::AsyncResult<std::vector<double>>& results, int parameter) {
  try {
    static_cast<void>(results[static_cast<std::size_t>(parameter)]);
  } catch (const rv::TaskCrashed& crash) {
    // What was being called follows, a line each.
    return crash.message().substr(0, crash.message().find("\n  at "));
  } catch (const rv::TimeoutError&) {
    return "took too long";
  } catch (const rv::RemoteError& error) {
    return "threw " + error.type_name() + ": " + error.message();
  }
  return "did not fail";
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    const auto view = rc.load_balanced_view().with({.timeout = 1s, .isolation = rv::process, .memory_limit = 100'000'000});
    const auto results = view.map(solve, std::views::iota(0, 40));
    results.wait();
    std::vector<int> failed;
    for (const rv::Metadata& task : results.metadata_all()) {
      if (task.status != rv::Status::completed) failed.push_back(static_cast<int>(task.task.item));
    }
    std::printf("solved %zu of 40\n", 40 - failed.size());
    for (const int parameter : failed) std::printf("parameter %d: %s\n", parameter, why(results, parameter).c_str());
    const std::size_t alive = rc[rv::all].apply_sync([] { return rv::this_engine::id(); }).size();
    std::printf("%zu engines of %zu are alive\n", alive, rc.size());
  });
}
