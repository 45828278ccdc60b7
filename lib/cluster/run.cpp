// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/cluster_state.hpp"

#include "cluster/hub_module.hpp"
#include "cluster/replay.hpp"
#include "cluster/start_guard.hpp"
#include "cluster/task_server.hpp"
#include "cluster/under_way.hpp"
#include "engine/crash_report.hpp"
#include "engine/failure.hpp"
#include "launch/self_start.hpp"
#include "transport/exit_file.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/errors.hpp>
#include <rankview/run.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1::detail {
namespace {

// Before the job ends with a rank that has crashed, it has so long to tell where that was.
constexpr std::chrono::milliseconds telling_limit{2500};

// What has to be undone if the program leaves by std::exit.
struct Program {
  pid_t process = 0;  // not a child that was forked
  std::unique_ptr<Cluster> cluster;
  std::function<void(int)> on_exit;
};

// One to a process, like MPI itself and the exit handlers. Never destroyed: after std::exit, threads of the run that was left may still be
// on their way out.
Program& program = *new Program;

void at_exit(int status, void*) {
  if (program.on_exit && program.process == getpid()) std::exchange(program.on_exit, nullptr)(status);
}

void begin_crash_reports() {
  int rank = 0;
  transport::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  const bool last_words = rank == 0 || job_ends_with_a_rank();
  isolation::TaskServer* const server = task_server();
  engine::report_crashes(server != nullptr ? server->control() : -1, last_words ? telling_limit : std::chrono::milliseconds(0));
}

}  // namespace

int run(int argc, char** argv, const std::function<int(Client&)>& client, const Options& chosen) {
  if (program.cluster != nullptr || UnderWay::any())
    throw UsageError("rankview::run within a run: use the Client that the outer one was given, or pass that to what calls this");
  bool owns_mpi = false;
  Options options = chosen;
  std::optional<Replay> replayed;
  try {
    if (transport::mpi_finalised())
      throw UsageError(
          "rankview::run behind MPI_Finalize: MPI can be initialised once in a program, and is over, perhaps with an earlier "
          "rankview::run, which finalises what it has initialised. For several runs, call MPI_Init_thread and MPI_Finalize yourself, and "
          "make a rankview::Cluster between them");
    replayed = wanted_replay();
    if (replayed) {
      options.hub = "";  // it is asked, and has nothing to add
    } else {
      launch::start_under_mpirun(argc, argv);
    }
    owns_mpi = !transport::mpi_running();
    if (owns_mpi) {
      const Effective effective = decide(options);
      if (effective.crash_report) engine::note_crash_handlers();
      if (effective.task_server) prepare_isolation();
      transport::begin_exit_file_early();
      const StartGuard guard(effective.detection ? effective.start_limit : std::chrono::seconds(0), "MPI_Init of all ranks");
      transport::initialise(argc, argv);
      if (effective.crash_report) begin_crash_reports();
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "rankview: %s\n", error.what());
    return 1;
  }

  try {
    program.cluster = std::make_unique<Cluster>(MPI_COMM_WORLD, options);
    if (replayed) {
      if (program.cluster->state_->size > 1)
        throw UsageError("RANKVIEW_REPLAY runs one task in one process: start the program by itself, without mpirun");
      program.cluster->state_->archive = open_hub(replayed->file);
    }
  } catch (const MismatchedBuild& error) {
    // Every rank knows; one says so.
    int rank = 0;
    transport::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    if (rank == 0) std::fprintf(stderr, "rankview: %s\n", error.what());
    if (owns_mpi) transport::finalise();
    return 1;
  } catch (const std::exception& error) {
    // Perhaps on this rank alone, while the others wait for it.
    transport::end_process(1, wire::error_text(error));
  }

  Cluster::State& state = *program.cluster->state_;
  // Rank 0 runs no tasks then, but may crash.
  if (owns_mpi && state.rank == 0 && state.size > 1 && !state.options.crash_report) drop_task_server();
  const auto finish = [owns_mpi, &state] {
    program.on_exit = nullptr;
    const bool any_lost = state.any_lost();
    program.cluster.reset();
    // Behind a death it may wait for the dead.
    if (owns_mpi && !any_lost) transport::finalise();
    if (!owns_mpi) return;
    engine::report_without_server();
    drop_task_server();
  };
  program.process = getpid();
  static const int registered = on_exit(at_exit, nullptr);
  static_cast<void>(registered);

  int exit_code = 0;
  if (state.rank != 0) {
    program.on_exit = [&state](int status) {
      liveness::tell_exit(status);
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
      if (state.any_lost()) {
        state.side_channel.reset();
        return;
      }
      state.endpoint.reset();
      state.comm = {};
      if (owns_mpi) transport::finalise();
    };
    try {
      exit_code = state.control(replayed ? [&replayed](Client&) { return replay(*replayed); } : client);
    } catch (const Draining&) {
      exit_code = exit_to_requeue;
    } catch (...) {
      std::fprintf(stderr, "rankview: the client threw %s\n", engine::describe_uncaught().c_str());
      exit_code = 1;
    }
  }
  finish();
  return exit_code;
}

}  // namespace rankview::detail
