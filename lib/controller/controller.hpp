// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_registry.hpp"
#include "controller/dependency_gate.hpp"
#include "controller/dispatcher.hpp"
#include "controller/driver.hpp"
#include "controller/engines.hpp"
#include "controller/item_ledger.hpp"
#include "controller/result_keeper.hpp"
#include "controller/result_transfers.hpp"
#include "controller/retry_policy.hpp"
#include "controller/run_state.hpp"
#include "controller/shares.hpp"
#include "controller/stuck_teams.hpp"
#include "controller/task_archive.hpp"
#include "controller/task_queue.hpp"
#include "controller/teams.hpp"
#include "controller/uncommon.hpp"
#include "controller/user_work.hpp"
#include "liveness/signs.hpp"
#include "transport/clock.hpp"
#include "transport/endpoint.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rankview::execute {
class Workshop;
}

namespace rankview::inline abi_0_1::detail {

namespace transport = rankview::transport;
namespace scheduler = rankview::scheduler;
namespace wire = rankview::wire;

struct ControllerSettings {
  controller::Driver::Settings driver;
  std::vector<controller::EngineInfo> engines;  // engine k is the k-th
  std::chrono::milliseconds grace{10'000};
  std::chrono::milliseconds team_grace{60'000};
  std::chrono::milliseconds lease{0};  // how long a job may be silent that has tasks of a checkpoint; 0: jobs do not split them
  controller::Forwarding forwarding;
  controller::Teams* teams = nullptr;                     // outlives the controller, for the next run's
  controller::Recorder* recorder = nullptr;               // likewise; null where nobody wants to hear
  bool keeps_all = false;                                 // it hears the values of all items
  std::shared_ptr<controller::TaskArchive> archive;       // null where there is none
  liveness::Signs* signs = nullptr;                       // likewise, of peers; null where nobody listens
  std::function<void(int rank)> put_down;                 // ends the process of an engine that does not answer, where that can be done
  checkpoint::Disk* disk = &checkpoint::posix_disk();     // outlives it
  std::shared_ptr<rankview::execute::Workshop> workshop;  // where code is compiled; null where it cannot be
  std::string ends_with_an_engine;                        // what to say when an engine dies and the job ends with it, or nothing
};

// Rank 0's side: takes calls from clients, has the scheduler decide, talks to the engines, and puts results in place.
//
// What it knows lies in the rooms that are its members; here is the order in which they are gone through. One lock, the driver's, guards
// all of them.
class Controller final : private transport::FrameHandler, private controller::Round {
 public:
  Controller(transport::Endpoint& endpoint, const ControllerSettings& settings);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  // Behind it no thread of a checkpoint comes here.
  ~Controller() { keeper_.checkpoints().stop_sharing(); }

  // ---- for clients; each takes the lock ----

  // Makes a call known, gives it its number and makes room for the items that are expected.
  void begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected);
  // Adds the next block of its items. `drives`: engines are seen to as well.
  void extend(Call& call, ArgumentBlock&& block, std::span<const checkpoint::Key> keys = {}, bool drives = true);
  // Or of items whose results were found, and are not to be run.
  void recall(Call& call, Recalled&& found, bool drives);
  // A call is about to be made that has this checkpoint, which other jobs may use, too.
  void share(const std::shared_ptr<checkpoint::Checkpoint>& checkpoint);
  // No more items come: those whose place depends on their number get it. `unattended`: nobody is about to wait.
  void seal(Call& call, bool unattended);
  // All three for a call of one block.
  void submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended);

  // See Driver::drive().
  template <class Ready>
  bool drive(const Deadline& deadline, Ready ready, bool for_continuations = false) {
    return driver_.drive(deadline, ready, for_continuations);
  }
  // Some rounds, if nobody else is at it.
  void try_progress() { driver_.try_progress(); }
  // Runs `action` under the lock.
  template <class Action>
  auto locked(Action action) const {
    const auto visit = driver_.visit();
    return action();
  }

  // The call will not be completed by its maker: gives up what waits, and lets the rest end.
  void cancel(Call& call);
  void abort(Call& call);
  // One item of it; where engines run them together, all.
  void abort(Call& call, std::uint64_t item);
  void abort_all(const std::string& why);
  void abort_if(const std::function<bool(const Call&)>& wanted);
  // Nobody has a handle of it any more.
  void abandon(Call& call) noexcept;

  // Hands out no more tasks of pools: what waits, and what engines have not begun, ends with Draining, which says why. What runs goes on,
  // and so do calls of direct views. Once; each takes the lock. `sends`: the caller may call MPI; otherwise whoever drives next sends.
  void drain(std::string why, bool sends);
  // Then: has tasks that still run told to stop.
  void hurry();
  [[nodiscard]] bool draining() const { return run_.draining(); }
  [[nodiscard]] std::string why_draining() const;
  // How many tasks have ended so.
  [[nodiscard]] std::uint64_t given_back() const;

  // For calls that rank 0 runs itself; each takes the lock.
  void begin_local(const std::shared_ptr<Call>& call);
  bool enter_local(Call& call);
  void end_local(Call& call, std::exception_ptr error);
  // False if the call is done.
  bool add(Call& call, const std::shared_ptr<Continuation>& continuation);

  // Under the lock: whether all that was submitted is done.
  [[nodiscard]] bool idle() const override { return calls_.in_flight() == 0 && !work_.busy() && !work_.continuations().busy(); }
  // The number of the next call, if nothing is under way. Takes the lock.
  [[nodiscard]] std::optional<std::uint64_t> resting() const;
  // Items that wait on rank 0. Under the lock.
  [[nodiscard]] std::uint64_t waiting() const { return queue_.scheduler().waiting(); }
  [[nodiscard]] int engine_count() const { return engines_.count(); }
  [[nodiscard]] const controller::EngineInfo& engine(int id) const { return engines_[id]; }
  // Those that live, and what is known of the others; each takes the lock.
  [[nodiscard]] std::vector<int> live_engines() const;
  [[nodiscard]] std::vector<LostEngine> lost() const;
  [[nodiscard]] controller::Checkpoints& checkpoints() { return keeper_.checkpoints(); }
  // The database of tasks, with what has happened so far. Throws UsageError if there is none.
  [[nodiscard]] controller::TaskArchive& archive();
  // Where code is compiled. Throws UsageError if it cannot be.
  [[nodiscard]] rankview::execute::Workshop& workshop() const;
  [[nodiscard]] bool lost(int engine) const;
  // The error of a view of that engine, which is lost.
  [[nodiscard]] std::exception_ptr lost_error(int engine) const;
  // Has `f` called, as a continuation is, with each engine that is lost from here on.
  void on_lost(std::function<void(const LostEngine&)> f);
  // How many engines have died; takes the lock.
  [[nodiscard]] std::uint64_t deaths() const {
    return locked([this] { return engines_.losses().deaths(); });
  }
  // Whether any engine is lost.
  [[nodiscard]] bool any_lost() const { return engines_.losses().any(); }
  [[nodiscard]] QueueStatus queue_status(const std::vector<int>& engines) const;
  // How many tasks engines have done in this run; takes the lock.
  [[nodiscard]] std::uint64_t completed() const;
  [[nodiscard]] std::int64_t now() const { return settings_.driver.clock.now(); }
  // Whether the run has not ended.
  [[nodiscard]] bool open() const { return run_.connected(); }

  // The call with tasks that the client names, null if it has ended and nobody keeps it. Throws UsageError for what never was.
  [[nodiscard]] std::shared_ptr<Call> named(const Prerequisite& tasks) const;

  // Ends the run: tells all engines and waits until each has said goodbye. After Ending::failed, an engine that does not answer within the
  // grace period ends the process.
  void close(wire::Ending ending, int exit_code, const std::string& reason);
  // Whether it can be reached within a second, by an exit handler.
  [[nodiscard]] bool reachable() { return driver_.reachable(std::chrono::seconds(1)); }
  // What is under way, in lines of text; from any thread, and soon, whatever the others do.
  [[nodiscard]] std::string describe();

 private:
  class FirstEncoding;
  class Release;
  using MakeError = controller::ItemLedger::MakeError;

  // Calls, from their submission to their end.
  void add(const std::shared_ptr<Call>& call);
  void add(Call& call, ArgumentBlock&& block);
  void enqueue(Call& call, const ArgumentBlock* block);
  void enqueue_rest(Call& call);
  void enqueue_ours(Call& call, std::uint64_t begin, std::uint64_t end);
  void enqueue_runs(Call& call, const std::vector<std::uint64_t>& items);
  bool look_at_shares();
  void attend_to_shares();
  void split(const checkpoint::Checkpoint* in);
  void note_keys(Call& call, std::span<const checkpoint::Key> keys);
  void lay_out(Call& call);
  void make_room(Call& call);
  void release(Call& call, std::vector<int>&& engines);
  void enqueue_released(Call& call, const std::exception_ptr& error);
  void fail_impossible(Call& call, const TaskId& cause);
  void mark_aborted(Call& call);
  void withdraw(Call& call, Status status, const MakeError& error);
  void withdraw(Call& call, const std::string& why);
  void withdraw_waiting(Call& call, std::uint64_t item);
  [[nodiscard]] bool gives_back(const Call& call) const;
  void give_back(Call& call);
  void give_back(Call& call, std::uint64_t begin, std::uint64_t end);
  void give_back(Call& call, std::uint64_t item, const char* what);
  void note_given_back(Call& call);
  [[nodiscard]] std::exception_ptr draining_error(const char* what) const;
  void end_root_part(Call& call);
  void end(Call& call);
  void leave_teams(const Call& call);

  // What a round consists of, and what other visits end with.
  bool round() override;
  void advance() override;
  void carry_out();
  void decide();
  void answer_subtasks();
  bool end_calls();
  void attend(std::int64_t submitted);
  void recall();
  void ask_back(const scheduler::Recall& recall);
  void check_timers();

  // What engines say.
  void on_frame(transport::Frame& frame) override;
  void on_record(transport::Frame& frame, int engine, const wire::Record& record);
  void on_results(transport::Frame& frame, int engine, const wire::Results& results);
  inline bool on_result(transport::Frame& frame, Call& call, std::uint64_t item, int engine, const wire::ItemResult& result,
                        std::int64_t began, std::int64_t received);
  bool on_failure(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value);
  void on_overdue(int engine, const wire::Overdue& overdue);
  void on_returned(int engine, const wire::Returned& returned);
  void on_late_return(int engine, const wire::Returned& returned);
  void tell_suspended(int engine);
  void on_published(const wire::Published& published);
  void on_printed(int engine, const wire::Printed& printed);
  void on_subtask(int engine, const wire::Subtask& subtask);
  void on_late_results(transport::Frame& frame, int engine, const wire::Results& results);
  void resubmit(Call& call, std::uint64_t item);

  // What is heard of their lives.
  void hear_signs();
  void lose(int engine, const liveness::Sign& sign);
  void set_aside(int engine, const liveness::Sign& sign);
  void take_back(int engine);
  void give_up(int engine, const liveness::Sign& sign);
  void tell_lost(const LostEngine& lost);
  void lose_item(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost);
  void strand(const scheduler::Range& range, int engine);
  void settle_strays();
  void deal_teams_anew(Call& call);
  void lose_part_of_team(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost);
  [[nodiscard]] std::string why_failed(const Call& call, std::uint64_t item) const;
  [[nodiscard]] bool somebody_left(const Call& call) const;
  [[nodiscard]] bool any_strays() const {
    return queue_.any_stranded() || dispatcher_.any_orphans() || transfers_.any_lost() || ledger_.any_left_by_teams();
  }
  [[nodiscard]] int missing_engine(const Call& call, std::uint64_t item) const;
  void forget_results_on(int engine);

  const ControllerSettings settings_;
  controller::RunState run_;
  mutable controller::UserWork work_;
  controller::Engines engines_;
  controller::CallRegistry calls_;
  controller::DependencyGate gate_;
  controller::ItemLedger ledger_;
  controller::TaskQueue queue_;
  controller::Teams& teams_;
  controller::Dispatcher dispatcher_;
  controller::RetryPolicy retries_;
  controller::ResultKeeper keeper_;
  controller::Shares shares_;
  controller::ResultTransfers transfers_;
  controller::StuckTeams stuck_teams_;
  mutable controller::Driver driver_;  // goes first, and its thread with it
};

}  // namespace rankview::detail
