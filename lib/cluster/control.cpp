// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/cluster_state.hpp"
#include "cluster/drain_watch.hpp"
#include "cluster/under_way.hpp"
#include "cluster/watch.hpp"
#include "controller/local_calls.hpp"
#include "engine/failure.hpp"
#include "launch/tally.hpp"
#include "transport/exit_file.hpp"
#include "transport/local_endpoint.hpp"
#include "transport/process.hpp"

#include <rankview/errors.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

// Rank 0's side of a run: the client, and what watches over it.
namespace rankview::inline abi_0_1 {
namespace {

// What is not on disk after that is lost with a job that has to end.
constexpr std::chrono::milliseconds limit_of_last_writes{5000};

}  // namespace

int Cluster::State::control(const Main& f) {
  const UnderWay under_way(comm.get(), size);
  if (size == 1) return control_alone(f);
  return run_client(std::make_shared<detail::Controller>(*endpoint, controller_settings(static_cast<std::size_t>(size) - 1)), f);
}

// With an engine that is a thread of this process.
int Cluster::State::control_alone(const Main& f) {
  const auto ends = transport::LocalEndpoint::pair();
  const auto running = std::make_shared<detail::Controller>(*ends.first, controller_settings(1));
  serving_ = engine::Thread([this, &ends] { engine->serve(*ends.second); });
  return run_client(running, f);
}

std::unique_ptr<DrainWatch> Cluster::State::watch_for_drain(detail::Controller& running) {
  const auto end = end_of_job(options, began_);
  if (!options.drain_signals && !end) return nullptr;
  DrainWatch::Steps steps;
  steps.drain = [&running](const std::string& why) {
    std::fprintf(stderr, "rankview: %s: no more tasks are handed out; those that run may end, and a second signal has them told to stop\n",
                 why.c_str());
    running.drain(why, false);
  };
  steps.hurry = [&running] {
    std::fprintf(stderr, "rankview: tasks that still run are told to stop\n");
    running.hurry();
  };
  steps.end = [this, &running](const std::string& why) {
    running.checkpoints().flush(limit_of_last_writes);
    if (hub != nullptr) hub->database()->flush();
    launch::add_to_tally(running.completed());
    transport::end_process(detail::exit_to_requeue, "the run drains (" + why + "), and tasks or the client have not ended");
  };
  return std::make_unique<DrainWatch>(options, end, std::move(steps));
}

int Cluster::State::run_client(const std::shared_ptr<detail::Controller>& running, const Main& f) {
  set_controller(running.get());
  detail::note_run(running);
  Client client(running);
  int exit_code = 0;
  std::exception_ptr left_by;
  // A child that the client has forked, in which their threads are not, must not come so far as to destroy them.
  std::optional<Watch> watch;
  std::unique_ptr<DrainWatch> drain_watch = watch_for_drain(*running);
  const auto stay_parent = [this] {
    if (forked()) transport::end_process(1, "a child that the client has forked came back from the client's function: end it with _exit()");
  };
  try {
    if (has_world() && options.pulse && level == transport::ThreadLevel::multiple) watch.emplace([&running] { return running->resting(); });
    try {
      exit_code = f(client);
    } catch (const Draining&) {
      left_by = std::current_exception();
    }
    stay_parent();
    client.wait();
  } catch (...) {
    stay_parent();
    watch.reset();
    drain_watch.reset();
    leave(1, engine::describe_uncaught());
    throw;
  }
  watch.reset();
  if (const std::uint64_t left = running->given_back(); left != 0) {
    std::fprintf(stderr, "rankview: the run drained (%s), and %llu tasks are left to a later one\n", running->why_draining().c_str(),
                 static_cast<unsigned long long>(left));
    if (exit_code == 0) exit_code = detail::exit_to_requeue;
  }
  running->close(wire::Ending::completed, exit_code, "");
  drain_watch.reset();
  end_run(*running);
  if (left_by != nullptr) std::rethrow_exception(left_by);
  return exit_code;
}

void Cluster::State::leave(int exit_code, const std::string& why) {
  if (controller_ == nullptr || !controller_->reachable()) transport::end_process(exit_code, why);
  controller_->abort_all("given up because the client failed: " + why);
  controller_->close(wire::Ending::failed, exit_code, why);
  end_run(*controller_);
}

// The program may not come so far as to destroy the cluster.
void Cluster::State::end_run(const detail::Controller& closed) {
  losses_ = closed.deaths();
  launch::add_to_tally(closed.completed());
  set_controller(nullptr);
  if (hub != nullptr) hub->database()->flush();
  // Where the engine is a thread, its connection goes with who began it.
  serving_.join();
}

}  // namespace rankview
