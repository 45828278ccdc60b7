// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/cluster_state.hpp"

#include "engine/failure.hpp"
#include "launch/self_start.hpp"
#include "transport/process.hpp"

#include <rankview/errors.hpp>
#include <rankview/run.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace rankview::detail {
namespace {

// What has to be undone if the program leaves by std::exit.
struct Program {
  std::unique_ptr<Cluster> cluster;
  std::function<void(int)> on_exit;
};

// One to a process, like MPI itself and the exit handlers. Never destroyed: after std::exit, threads of the run that was left may still be
// on their way out.
Program& program = *new Program;

void at_exit(int status, void*) {
  if (program.on_exit) std::exchange(program.on_exit, nullptr)(status);
}

void print_failure(const wire::Failure& failure) {
  std::fprintf(stderr, "rankview: the client threw %s: %s\n", failure.type_name.c_str(), failure.message.c_str());
}

}  // namespace

int run(int argc, char** argv, const std::function<int(Client&)>& main, const Options& options) {
  bool owns_mpi = false;
  try {
    launch::start_under_mpirun(argc, argv);
    owns_mpi = !transport::mpi_running();
    if (owns_mpi) transport::initialise(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "rankview: %s\n", error.what());
    return 1;
  }

  try {
    program.cluster = std::make_unique<Cluster>(MPI_COMM_WORLD, options);
  } catch (const MismatchedBuild& error) {
    // Every rank knows; one says so.
    int rank = 0;
    transport::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    if (rank == 0) std::fprintf(stderr, "rankview: %s\n", error.what());
    if (owns_mpi) transport::finalise();
    return 1;
  } catch (const std::exception& error) {
    // Perhaps on this rank alone, while the others wait for it.
    transport::end_process(1, error.what());
  }

  Cluster::State& state = *program.cluster->state_;
  const auto finish = [owns_mpi] {
    program.on_exit = nullptr;
    program.cluster.reset();
    if (owns_mpi) transport::finalise();
  };
  static const int registered = on_exit(at_exit, nullptr);
  static_cast<void>(registered);

  int exit_code = 0;
  if (state.rank != 0) {
    program.on_exit = [&state](int status) {
      transport::end_process(
          status, "a task left the program by std::exit(" + std::to_string(status) + ") on engine " + std::to_string(state.rank - 1));
    };
    const wire::End end = state.serve();
    exit_code = static_cast<int>(end.exit_code);
  } else {
    program.on_exit = [&state, owns_mpi](int status) {
      if (engine::current() != nullptr)
        transport::end_process(status, "a task left the program by std::exit(" + std::to_string(status) + ")");
      state.leave(status, "the client left by std::exit(" + std::to_string(status) + ")");
      state.endpoint.reset();
      state.comm = {};
      if (owns_mpi) transport::finalise();
    };
    try {
      exit_code = state.control(main);
    } catch (...) {
      print_failure(engine::describe_current_exception());
      exit_code = 1;
    }
  }
  finish();
  return exit_code;
}

}  // namespace rankview::detail
