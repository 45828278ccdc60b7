// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace rankview::inline abi_0_1 {

/// When a task's long argument, which is the result of another task, is sent from the engine that made it, which keeps its latest ones,
/// rather than from rank 0.
enum class ForwardResults {
  never,
  when_nearer,  ///< if both engines are on one host, and rank 0 is on another
  always,       ///< if rank 0's network is what others wait for; an engine that is in a task sends slowly over a network without offload
};

// Keep::all hides no rv::all.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// Of which tasks the task database keeps the arguments and results, as they travel.
enum class Keep {
  none,
  failures,  ///< the arguments of those that failed, so that they can be run again
  all,       ///< the arguments and results of all
};
#pragma GCC diagnostic pop

/// What can be tuned. A member that the program leaves unset comes from its environment variable, and else has its default.
/// `RANKVIEW_BANNER=1` prints the effective values at start.
struct Options {
  /// `RANKVIEW_IDLE_SPIN_US` (50): how long who waits looks for messages without sleeping. More costs CPU, less costs latency.
  std::optional<std::chrono::microseconds> idle_spin{};
  /// `RANKVIEW_IDLE_SLEEP_US` (1000): the longest pause between two looks of who waits; pauses grow with the time waited.
  std::optional<std::chrono::microseconds> idle_sleep{};
  /// `RANKVIEW_PULSE` (1): whether a background thread on each rank makes progress while the program computes. Needs
  /// `MPI_THREAD_MULTIPLE`.
  std::optional<bool> pulse{};
  /// `RANKVIEW_SHUTDOWN_GRACE_MS` (10000): how long a task may go on running after the client failed, before the job is killed.
  std::optional<std::chrono::milliseconds> shutdown_grace{};
  /// `RANKVIEW_TEAM_GRACE_MS` (60000): when a task has thrown on one of the engines that run it together, the others may go on with it for
  /// so long. After that they are taken to wait in MPI for the one that threw, and the job ends with its error.
  std::optional<std::chrono::milliseconds> team_grace{};
  /// `RANKVIEW_FORWARD_RESULTS` (1): 0 for never, 1 for when_nearer, 2 for always. Needs the pulse.
  std::optional<ForwardResults> forward_results{};
  /// `RANKVIEW_TASK_SERVER` (1): whether rv::run() makes, on each rank and before it initialises MPI, the small process that tasks with
  /// `isolation = rv::process` are started from, and that tells where its rank has crashed.
  std::optional<bool> task_server{};
  /// `RANKVIEW_SLOTS` (1): how much isolated work this engine runs side by side, at least 1: the cores that it may use, say. Each task
  /// takes `Flags::slots` of them. Engines may have different numbers. A task that is not isolated has its engine for itself.
  std::optional<int> slots{};
  /// `RANKVIEW_CRASH_REPORT` (1): whether rv::run(), where it initialises MPI, has a crash of a rank told on stderr with the signal and the
  /// task that ran, before MPI tells of it, and where it was: by function, and by line where the program has debug information and
  /// `addr2line` is installed; by address alone without a task server. If the job ends with that rank, it waits for this for up to 2.5 s.
  /// Not for signals for which the program has a handler.
  std::optional<bool> crash_report{};
  /// `RANKVIEW_STATUS_SIGNAL` (1): whether SIGUSR2, to mpirun or to a rank, makes ranks say on stderr what they do and wait for. Not where
  /// the program has a handler for it.
  std::optional<bool> status_signal{};
  /// `RANKVIEW_DETECTION` (1): whether rank 0 notices when engines die or do not answer, and engines when rank 0 has died. For that each
  /// engine has a connection to rank 0 beside MPI, by TCP. With 0, a death of an engine that does not end the job is a hang.
  std::optional<bool> detection{};
  /// `RANKVIEW_SILENCE_MS` (2000): an engine that has given no sign of life for so long is set aside: it is handed nothing until it
  /// answers.
  std::optional<std::chrono::milliseconds> silence{};
  /// `RANKVIEW_LEASE_MS` (30000): of jobs that use one checkpoint at the same time, each takes tasks that the others leave to it; what one
  /// had that gives no sign of life for so long others do. 0: they do not split the work.
  std::optional<std::chrono::milliseconds> lease{};
  /// `RANKVIEW_START_LIMIT_S` (300): MPI_Init and the making of a cluster take all ranks, and wait for ever for one that has died; after so
  /// many seconds a rank ends with an error instead. 0 for no limit. Not without detection.
  std::optional<std::chrono::seconds> start_limit{};
  /// `RANKVIEW_DRAIN_SIGNALS` (1): whether SIGTERM and SIGUSR1 to rank 0 have the run drain; see Client::drain(). A second one has the
  /// tasks that still run told to stop (rv::this_task::stop_requested()), and `shutdown_grace` later the job ends. Engines do not mind
  /// these signals, since batch systems send them to all. Not where the program has handlers for them.
  std::optional<bool> drain_signals{};
  /// `RANKVIEW_WALLTIME` (none): how long the job may go on, in seconds from the beginning of the run. Where that is not said, Slurm's
  /// SLURM_JOB_END_TIME is asked for. 0 for no limit.
  std::optional<std::chrono::seconds> walltime{};
  /// `RANKVIEW_WALLTIME_MARGIN_S` (60): so long before that the run drains; after half of it tasks that still run are told to stop, and
  /// after three quarters the job ends.
  std::optional<std::chrono::seconds> walltime_margin{};
  /// `RANKVIEW_HUB` (none): the file of the task database, on rank 0's host, to which this run is added: which calls were made, what became
  /// of their tasks, where, when and why. See Client::hub(), and the README for its tables. No task waits for the disk, but a thread of
  /// rank 0 needs a core for it: tiny tasks took 80 ns instead of 50 where three ranks had two cores.
  std::optional<std::string> hub{};
  /// `RANKVIEW_EXECUTE_INCLUDE` (none): a header of the program's own, by its whole path or as the compiler finds it (RANKVIEW_CXXFLAGS may
  /// say where), that is included in all code that is executed, so that it knows the types of variables. See DirectView::execute().
  std::optional<std::string> execute_include{};
  /// `RANKVIEW_KEEP` (failures): `none`, `failures` or `all`: of which tasks of apply(), map() and imap() the hub keeps arguments and
  /// results; see Keep. Not of teams, nor of arguments that are results of other tasks and did not travel by way of rank 0. At most 256 MB
  /// wait for the disk; what comes above that is not kept, and counted.
  std::optional<Keep> keep{};
  /// `RANKVIEW_CAPTURE` (0): how much of what a task prints is kept and sent to rank 0, in KiB: so much of its stdout and of its stderr,
  /// half of that from the beginning and half from the end. See Metadata::stdout_text. It is then not printed where the engine prints. 0:
  /// nothing is kept. With it a task that prints nothing takes some 0.3 µs longer, and a round trip 1.6 µs. With one rank, only isolated
  /// tasks: the others print where the client does.
  std::optional<int> capture{};
  /// `RANKVIEW_STREAM_OUTPUT` (0): whether what tasks print is printed by their engines line by line while they run, each line behind
  /// `[stdout:2] ` or `[stderr:2] ` with the engine's number. With one rank, only isolated tasks.
  std::optional<bool> stream_output{};
  /// `RANKVIEW_BANNER` (0): print the ranks, the thread level and the effective values of all of these on rank 0 at start.
  std::optional<bool> banner{};
};

}  // namespace rankview
