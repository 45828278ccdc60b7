// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/redirection.hpp"
#include "cluster/drain_watch.hpp"
#include "cluster/event_log.hpp"
#include "cluster/hub_recorder.hpp"
#include "cluster/options.hpp"
#include "cluster/start_guard.hpp"
#include "cluster/status_report.hpp"
#include "controller/controller.hpp"
#include "controller/recorders.hpp"
#include "engine/engine.hpp"
#include "engine/stack.hpp"
#include "isolation/direct_forker.hpp"
#include "isolation/process_runner.hpp"
#include "isolation/threaded_slots.hpp"
#include "liveness/side_channel.hpp"
#include "liveness/side_line.hpp"
#include "liveness/signs.hpp"
#include "transport/mpi.hpp"
#include "transport/mpi_endpoint.hpp"

#include <rankview/cluster.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1 {

// Whether what has started the job ends it when one of its processes dies.
bool job_ends_with_a_rank();

// One rank's part of a cluster.
struct Cluster::State {
  State(MPI_Comm parent, const Options& chosen);

  using Main = std::function<int(Client&)>;

  // Rank 0: runs f with a controller until it returns, and tells the engines its exit code, which it returns: that of a run that drained,
  // if tasks are left and f returns 0. Throws what f throws, after the engines were told.
  int control(const Main& f);
  // Other ranks: returns how the run ended.
  wire::End serve();
  // Rank 0, from within f: ends the run as failed, without f returning.
  void leave(int exit_code, const std::string& why);

  // What would have MPI wait for ranks that have died is not destroyed.
  static void keep_for_ever(std::unique_ptr<State> state);
  // Whether any rank has died: what is collective over the cluster would wait for it.
  [[nodiscard]] bool any_lost() const { return losses_ != 0; }
  // Whether this is a child that was forked by the process of the rank: it is no part of the cluster.
  [[nodiscard]] bool forked() const;

  detail::Effective options;
  std::optional<StartGuard> start_guard;  // while it is being made
  transport::Communicator comm;
  transport::Communicator team_parent;  // of the same ranks
  int rank = 0;
  int size = 1;
  std::vector<transport::Identity> ranks;
  transport::Clock clock;
  transport::ThreadLevel level = transport::ThreadLevel::single;
  std::unique_ptr<transport::MpiEndpoint> endpoint;  // null with one rank
  Variables variables;                               // of this rank's engine
  // Run isolated tasks: in copies of this process, and in children of the task server, if there is one.
  isolation::ProcessRunner in_fork{std::make_unique<isolation::DirectForker>(variables)};
  std::unique_ptr<isolation::ProcessRunner> in_process{};
  // What is noticed of the lives of others: on rank 0 of engines, on engines of rank 0.
  liveness::Signs signs;
  std::unique_ptr<liveness::SideChannel> side_channel;
  std::unique_ptr<liveness::SideLine> side_line;
  std::unique_ptr<liveness::Chaos> chaos;         // where an engine is another rank, and it is wanted
  std::unique_ptr<capture::Redirection> outputs;  // where an engine is another rank, and what tasks print is wanted
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<isolation::ThreadedSlots> slots;  // the engine's, where there are several; goes before it
  controller::Teams teams;                          // on rank 0
  std::unique_ptr<EventLog> event_log;              // likewise, if it is wanted
  std::unique_ptr<HubRecorder> hub;                 // likewise
  controller::Recorders recorders;
  std::shared_ptr<execute::Workshop> workshop;       // likewise
  std::shared_ptr<controller::TaskArchive> archive;  // to be asked instead of the hub, if any

 private:
  void begin_hub();
  void begin_chaos(const std::string& text);
  void begin_capture();
  void watch_lives();
  [[nodiscard]] bool near(const transport::Identity& other) const;
  void check_builds() const;
  void tell_level() const;
  [[nodiscard]] bool has_world() const;
  [[nodiscard]] detail::ControllerSettings controller_settings(std::size_t engines);
  [[nodiscard]] engine::Settings engine_settings(int id, int engines);
  int control_alone(const Main& f);
  [[nodiscard]] std::unique_ptr<DrainWatch> watch_for_drain(detail::Controller& running);
  int run_client(const std::shared_ptr<detail::Controller>& running, const Main& f);
  void end_run(const detail::Controller& closed);

  std::string describe();
  void set_controller(detail::Controller* controller);

  capture::Terms capture_;
  const long process_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::uint64_t losses_ = 0;
  detail::Controller* controller_ = nullptr;  // while f runs
  engine::Thread serving_;                    // with one rank, the engine; ends when the controller has closed
  std::mutex describing_;                     // guards controller_ against the status report's thread
  std::unique_ptr<StatusReport> status_report_;
};

}  // namespace rankview
