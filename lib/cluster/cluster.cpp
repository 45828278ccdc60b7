// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/cluster_state.hpp"

#include "cluster/hub_module.hpp"
#include "cluster/task_server.hpp"
#include "cluster/under_way.hpp"
#include "execute/workshop.hpp"
#include "launch/copies.hpp"
#include "transport/exit_file.hpp"
#include "transport/process.hpp"
#include "transport/stuck_in_mpi.hpp"

#include <rankview/detail/code_address.hpp>
#include <rankview/errors.hpp>

#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1 {
namespace {

MPI_Comm checked(MPI_Comm comm) {
  launch::refuse_copies();
  if (!transport::mpi_running()) throw UsageError("a Cluster needs MPI: call MPI_Init_thread first, or use rankview::run()");
  if (comm == MPI_COMM_NULL) throw UsageError("a Cluster over MPI_COMM_NULL");
  int inter = 0;
  transport::check(MPI_Comm_test_inter(comm, &inter), "MPI_Comm_test_inter");
  if (inter != 0) throw UsageError("a Cluster needs an intra-communicator, and was given an inter-communicator");
  UnderWay::check_outside(comm);
  return comm;
}

}  // namespace

// Open MPI's mpirun does that, if it has not been told to go on.
bool job_ends_with_a_rank() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr && std::getenv("OMPI_MCA_orte_enable_recovery") == nullptr &&
         std::getenv("SLURM_STEP_ID") == nullptr;
}

Cluster::State::State(MPI_Comm parent, const Options& chosen)
    : options(detail::decide(chosen)),
      start_guard(std::in_place, options.detection ? options.start_limit : std::chrono::seconds(0), "a cluster of all ranks"),
      comm(transport::Communicator::duplicate(checked(parent))),
      rank(comm.rank()),
      size(comm.size()),
      process_(getpid()) {
  transport::Identity own = transport::identify(detail::executable_id(), clock.anchor());
  own.slots = static_cast<std::uint64_t>(options.slots);
  ranks = transport::exchange(comm, own);
  check_builds();
  // One clock for all processes of rank 0's host.
  if (ranks[static_cast<std::size_t>(rank)].boot == ranks[0].boot) clock = transport::Clock(ranks[0].clock_anchor);
  level = transport::thread_level();
  if (rank == 0) transport::begin_exit_file();
  if (rank == 0) tell_level();
  if (rank == 0) workshop = std::make_shared<execute::Workshop>(execute::installed_compiler(), options.execute_include);
  const char* const log = std::getenv("RANKVIEW_LOG");
  EventLog::check(log == nullptr ? "" : log);
  if (rank == 0 && log != nullptr) event_log = EventLog::make(log, clock);
  begin_hub();
  if (event_log != nullptr) recorders.add(*event_log);
  if (hub != nullptr) recorders.add(*hub);

  if (isolation::TaskServer* const server = task_server(); server != nullptr && (rank != 0 || size == 1))
    in_process = std::make_unique<isolation::ProcessRunner>(server->connect());
  if (options.slots > 1 && (rank != 0 || size == 1))
    slots = std::make_unique<isolation::ThreadedSlots>(static_cast<std::size_t>(options.slots), task_server(), variables);
  if (const char* const text = std::getenv("RANKVIEW_CHAOS"); text != nullptr && *text != '\0' && size > 1) begin_chaos(text);
  begin_capture();
  if (size > 1) {
    team_parent = transport::Communicator::duplicate(comm.get());
    endpoint = std::make_unique<transport::MpiEndpoint>(comm.get(), team_parent);
  }
  if (size == 1) {
    engine = std::make_unique<engine::Engine>(engine_settings(0, 1), variables);
  } else if (rank > 0) {
    engine = std::make_unique<engine::Engine>(engine_settings(rank - 1, size - 1), variables);
  }
  watch_lives();
  start_guard.reset();
  if (options.status_signal) status_report_ = std::make_unique<StatusReport>([this] { return describe(); });
}

// All ranks throw if rank 0 cannot.
void Cluster::State::begin_hub() {
  std::string why;
  try {
    if (rank == 0 && !options.hub.empty()) hub = std::make_unique<HubRecorder>(open_hub(options.hub), clock, options.keep);
  } catch (const UsageError& error) {
    why = error.what();
  }
  int failed = why.empty() ? 0 : 1;
  transport::broadcast(comm, &failed, sizeof(failed));
  if (failed != 0) throw UsageError(rank == 0 ? why : "rank 0 cannot open the hub");
}

void Cluster::State::keep_for_ever(std::unique_ptr<State> state) {
  static auto& for_ever = *new std::vector<std::unique_ptr<State>>;
  for_ever.push_back(std::move(state));
}

// For the status report's thread.
std::string Cluster::State::describe() {
  const std::string who = "rankview, rank " + std::to_string(rank) + " on " + ranks[static_cast<std::size_t>(rank)].host + ", process " +
                          std::to_string(process_);
  const std::string call = transport::mpi_call_of(static_cast<int>(process_));
  // It looks for messages all the time.
  const std::string in_mpi = call.empty() || call.starts_with("MPI_Test") ? "" : "; its first thread is in " + call;
  std::string text;
  if (rank == 0) {
    const std::lock_guard guard(describing_);
    text += who + in_mpi + ": " + (controller_ != nullptr ? controller_->describe() : "no run is under way\n");
  }
  if (engine != nullptr) text += who + ", engine " + std::to_string(engine->id()) + in_mpi + ": it " + engine->describe();
  return text;
}

void Cluster::State::set_controller(detail::Controller* controller) {
  const std::lock_guard guard(describing_);
  controller_ = controller;
}

// All draw from one seed, which rank 0 tells.
void Cluster::State::begin_chaos(const std::string& text) {
  liveness::Chaos::Settings settings = liveness::Chaos::read(text);
  transport::broadcast(comm, &settings.seed, sizeof(settings.seed));
  if (rank == 0) {
    std::fprintf(stderr, "rankview: RANKVIEW_CHAOS: engines die and stall at random, with seed:%llu\n",
                 static_cast<unsigned long long>(settings.seed));
  } else {
    chaos = std::make_unique<liveness::Chaos>(settings, rank);
  }
}

void Cluster::State::begin_capture() {
  capture_ = {static_cast<std::size_t>(options.capture) * 1024, options.stream_output};
  if (!capture_.wanted()) return;
  if (rank > 0) outputs = std::make_unique<capture::Redirection>(capture_, rank - 1);
  if (size == 1)
    std::fprintf(stderr,
                 "rankview: with one rank, tasks that are not isolated print where the client does, and what they print is not captured\n");
}

// Whether its process number means the same here.
bool Cluster::State::near(const transport::Identity& other) const {
  const transport::Identity& own = ranks[static_cast<std::size_t>(rank)];
  return own.boot == other.boot && own.processes == other.processes;
}

void Cluster::State::watch_lives() {
  if (!options.detection || size == 1) return;
  liveness::Invitation invitation;
  if (rank == 0) {
    std::vector<liveness::SideChannel::Peer> peers;
    for (int other = 1; other < size; ++other) {
      const transport::Identity& identity = ranks[static_cast<std::size_t>(other)];
      peers.push_back({other, identity.host, near(identity) ? static_cast<long>(identity.pid) : 0});
    }
    side_channel = std::make_unique<liveness::SideChannel>(signs, peers, options.silence);
    invitation = side_channel->invitation();
  }
  transport::broadcast(comm, &invitation, sizeof(invitation));
  if (rank == 0) return;
  const transport::Identity& first = ranks[0];
  side_line = std::make_unique<liveness::SideLine>(
      invitation, rank, near(first) ? static_cast<long>(first.pid) : 0, [this](const std::string& seen) {
        transport::end_process(1, "rank " + std::to_string(rank) + " ends, since rank 0 on " + ranks[0].host + " has died: " + seen);
      });
}

// Function addresses are only meaningful between equal executables.
void Cluster::State::check_builds() const {
  for (std::size_t other = 1; other < ranks.size(); ++other) {
    if (ranks[other].executable == ranks[0].executable) continue;
    throw MismatchedBuild("rank " + std::to_string(other) + " on " + ranks[other].host + " runs another executable than rank 0 on " +
                          ranks[0].host + " (their build-ids differ); start the same build on every rank");
  }
}

void Cluster::State::tell_level() const {
  if (options.banner)
    std::fprintf(stderr, "rankview: %d ranks, %s, effective options:\n%s", size, transport::to_string(level),
                 detail::to_string(options).c_str());
  // An engine that is a thread of this process needs no MPI.
  if (level == transport::ThreadLevel::multiple || size == 1) return;
  const bool serialized = level == transport::ThreadLevel::serialized;
  std::fprintf(stderr,
               "rankview: MPI runs with %s: results arrive, and waiting tasks are handed out, only while the client waits for a result%s. "
               "Initialise MPI with MPI_THREAD_MULTIPLE to have this go on in the background.\n",
               transport::to_string(level), serialized ? "" : " in the thread that initialised MPI");
}

detail::ControllerSettings Cluster::State::controller_settings(std::size_t engines) {
  detail::ControllerSettings settings;
  settings.driver.idle = {options.idle_spin, options.idle_sleep};
  settings.driver.clock = clock;
  settings.grace = options.shutdown_grace;
  settings.team_grace = options.team_grace;
  settings.lease = options.lease;
  settings.teams = &teams;
  settings.recorder = recorders.get();
  settings.keeps_all = hub != nullptr && options.keep == Keep::all;
  settings.archive = archive;
  settings.workshop = workshop;
  if (archive == nullptr && hub != nullptr) settings.archive = hub->database();
  settings.signs = &signs;
  settings.put_down = [this](int silent) {
    const transport::Identity& identity = ranks[static_cast<std::size_t>(silent)];
    if (near(identity)) ::kill(static_cast<pid_t>(identity.pid), SIGKILL);
  };
  if (job_ends_with_a_rank())
    settings.ends_with_an_engine =
        "mpirun ends the job for that, where `rankview run -n ENGINES ./app` or `mpirun --enable-recovery` would go on with the others";
  for (std::size_t i = 0; i < engines; ++i) {
    const std::size_t on = ranks.size() == 1 ? 0 : i + 1;
    settings.engines.push_back({.peer = static_cast<int>(i) + 1,
                                .rank = static_cast<int>(on),
                                .host = ranks[on].host,
                                .pid = static_cast<long>(ranks[on].pid),
                                .machine = ranks[on].boot,
                                .slots = static_cast<std::uint16_t>(ranks[on].slots)});
  }
  // Without another rank there is no MPI to be careful with.
  settings.driver.progress_thread = options.pulse && (level == transport::ThreadLevel::multiple || size == 1);
  settings.driver.any_thread_drives = level >= transport::ThreadLevel::serialized || size == 1;
  settings.forwarding.machine = ranks[0].boot;
  settings.forwarding.when = settings.driver.progress_thread ? options.forward_results : ForwardResults::never;
  return settings;
}

engine::Settings Cluster::State::engine_settings(int id, int engines) {
  engine::Settings settings;
  settings.id = id;
  settings.size = engines;
  settings.idle = {options.idle_spin, options.idle_sleep};
  settings.clock = clock;
  settings.own_process = size > 1;
  settings.progress_thread = options.pulse && (level == transport::ThreadLevel::multiple || size == 1);
  settings.grace = options.shutdown_grace;
  settings.team_grace = options.team_grace;
  settings.outputs = outputs.get();
  settings.capture = capture_;
  settings.chaos = chaos.get();
  settings.in_process = in_process.get();
  settings.in_fork = &in_fork;
  settings.slots = slots.get();
  return settings;
}

bool Cluster::State::forked() const { return process_ != getpid(); }

// Whether there is nobody else whom the client could wait for in MPI.
bool Cluster::State::has_world() const {
  int world = 0;
  transport::check(MPI_Comm_size(MPI_COMM_WORLD, &world), "MPI_Comm_size");
  return size > 1 && size == world;
}

wire::End Cluster::State::serve() {
  const UnderWay under_way(comm.get(), size);
  // They are for rank 0, and come to all.
  std::optional<DrainSignals> unheard;
  if (options.drain_signals) unheard.emplace(-1);
  wire::End end = engine->serve(*endpoint);
  losses_ = end.losses;
  return end;
}

Cluster::Cluster(MPI_Comm comm, const Options& options) : state_(std::make_unique<State>(comm, options)) {}

Cluster::~Cluster() {
  if (state_->forked()) {
    // What it would free is its parent's.
    static_cast<void>(state_.release());
  } else if (state_->any_lost()) {
    state_->side_channel.reset();
    state_->side_line.reset();
    state_->variables.clear();
    State::keep_for_ever(std::move(state_));
  } else if (!transport::mpi_running()) {
    transport::end_process(1,
                           "a Cluster was destroyed behind MPI_Finalize, which it must come before: put it in a scope that ends earlier");
  }
}

int Cluster::rank() const noexcept { return state_->rank; }
int Cluster::size() const noexcept { return state_->size; }

void Cluster::run_on_root(const std::function<void(Client&)>& f) {
  if (!transport::mpi_running()) throw UsageError("Cluster::run behind MPI_Finalize");
  if (state_->rank == 0) {
    state_->control([&f](Client& client) {
      f(client);
      return 0;
    });
    return;
  }
  const wire::End end = state_->serve();
  if (end.ending == wire::Ending::failed) throw Error("the client on rank 0 failed: " + end.reason);
}

}  // namespace rankview
