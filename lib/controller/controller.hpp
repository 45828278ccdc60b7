// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/call_table.hpp"
#include "controller/lock.hpp"
#include "controller/teams.hpp"
#include "controller/timers.hpp"
#include "controller/uncommon.hpp"
#include "scheduler/dependencies.hpp"
#include "scheduler/scheduler.hpp"
#include "transport/clock.hpp"
#include "transport/endpoint.hpp"
#include "transport/idle.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>
#include <rankview/options.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1::detail {

namespace transport = rankview::transport;
namespace scheduler = rankview::scheduler;
namespace wire = rankview::wire;

// What rank 0 knows of an engine.
struct EngineInfo {
  int peer = 0;  // at the controller's endpoint
  int rank = 0;  // in the cluster's communicator
  std::string host;
  long pid = 0;
  std::uint64_t machine = 0;  // which it is on
};

struct ControllerSettings {
  transport::IdleLimits idle;
  transport::Clock clock;
  std::vector<EngineInfo> engines;  // engine k is the k-th
  bool pulse = false;               // a second thread may drive
  bool any_thread_drives = true;    // else only the one that initialised MPI
  std::chrono::milliseconds grace{10'000};
  std::chrono::milliseconds team_grace{60'000};
  ForwardResults forward = ForwardResults::never;
  std::uint64_t machine = 0;           // which rank 0 is on
  controller::Teams* teams = nullptr;  // outlives the controller, for the next run's
};

// Rank 0's side: takes calls from clients, has the scheduler decide, talks to the engines, and puts results in place.
//
// One lock guards all of it. Whoever waits drives: holds the lock and runs progress() until what it waits for is there. When nobody waits,
// the pulse does so now and then.
class Controller final : private transport::FrameHandler {
 public:
  Controller(transport::Endpoint& endpoint, const ControllerSettings& settings);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  ~Controller();

  // ---- for clients; each takes the lock ----

  // Makes a call known, gives it its number and makes room for the items that are expected.
  void begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected);
  // Adds the next block of its items.
  void extend(Call& call, ArgumentBlock&& block);
  // No more items come: lays out those whose place depends on their number. `unattended`: nobody is about to wait.
  void seal(Call& call, bool unattended);
  // All three for a call of one block.
  void submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended);

  // Drives until `ready()`, which is called under the lock, or the deadline. Whether it became ready. A continuation that waits runs others
  // meanwhile only if it may wait for them, or they would pile up.
  template <class Ready>
  bool drive(const Deadline& deadline, Ready ready, bool for_continuations = false);
  // One round, if nobody else is at it.
  void try_progress();
  // Runs `action` under the lock.
  template <class Action>
  auto locked(Action action) const {
    const std::lock_guard guard(lock_);
    return action();
  }

  // The call will not be completed by its maker: gives up what waits, and lets the rest end.
  void cancel(Call& call);
  void abort(Call& call);
  // One item of it; where engines run them together, all.
  void abort(Call& call, std::uint64_t item);
  void abort_all(const std::string& why);
  void abort_if(const std::function<bool(const Call&)>& wanted);
  void abandon(Call& call) noexcept;

  // For calls that rank 0 runs itself; each takes the lock.
  void begin_local(const std::shared_ptr<Call>& call);
  bool enter_local(Call& call);
  void end_local(Call& call, std::exception_ptr error);
  // False if the call is done.
  bool add(Call& call, const std::shared_ptr<Continuation>& continuation);

  [[nodiscard]] bool idle() const { return in_flight_ == 0 && !continuing(); }  // under the lock
  // The number of the next call, if nothing is under way. Takes the lock.
  [[nodiscard]] std::optional<std::uint64_t> resting() const;
  [[nodiscard]] std::uint64_t waiting() const { return scheduler_.waiting(); }
  // Engines are numbered from 0; none is ever lost.
  [[nodiscard]] int engine_count() const { return static_cast<int>(settings_.engines.size()); }
  [[nodiscard]] const EngineInfo& engine(int id) const { return settings_.engines[static_cast<std::size_t>(id)]; }
  [[nodiscard]] QueueStatus queue_status(const std::vector<int>& engines) const;
  [[nodiscard]] std::int64_t now() const { return settings_.clock.now(); }
  [[nodiscard]] bool open() const { return open_.load(std::memory_order_acquire); }

  // The call with tasks that the client names, null if it has ended and nobody keeps it. Throws UsageError for what never was.
  [[nodiscard]] std::shared_ptr<Call> named(const Prerequisite& tasks) const;

  // Ends the run: tells all engines and waits until each has said goodbye. After Ending::failed, an engine that does not answer within the
  // grace period ends the process.
  void close(wire::Ending ending, int exit_code, const std::string& reason);
  // Whether the lock can be had within a second; for an exit handler, which may run in the middle of anything.
  [[nodiscard]] bool reachable();

 private:
  // Counts a driver while it drives.
  class Driving {
   public:
    explicit Driving(std::atomic<int>* drivers) : drivers_(drivers) {
      if (drivers_ != nullptr) drivers_->fetch_add(1, std::memory_order_relaxed);
    }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;
    ~Driving() {
      if (drivers_ != nullptr) drivers_->fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    std::atomic<int>* drivers_;
  };

  // What has become of the tasks that an engine ran last, in this run, and what it told of its variables.
  struct Account {
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    wire::Memory memory;
  };

  // A task that threw on one of the engines that run it together, while others are still at it, and may wait for that one in MPI.
  struct Desertion {
    std::uint64_t call = 0;
    std::uint64_t item = 0;  // where teams run items
    std::int64_t since = 0;  // nanoseconds of the clock
    std::exception_ptr error;
  };

  // A call that waits for others, as the scheduler wants to know it.
  struct Waiting {
    scheduler::Dependencies::Needs needs;
    struct On {
      Call* call;
      std::uint64_t item;
      scheduler::Dependencies::Need need;
    };
    std::vector<On> open;   // what has not ended
    TaskId bad;             // a task that has ended, and not as asked for
    bool encoding = false;  // its arguments are to be encoded when all is there

    [[nodiscard]] bool waits() const { return encoding || needs.follow || needs.after.verdict() != scheduler::Verdict::met; }
  };

  // A result whose attachments are on their way.
  struct Landing {
    std::unique_ptr<transport::Transfer> transfer;
    std::shared_ptr<Call> call;  // null: nobody wants it
    std::uint64_t item = 0;
    std::exception_ptr error;
  };

  void add(const std::shared_ptr<Call>& call);
  void enlist(const std::shared_ptr<Call>& call);
  void add(Call& call, ArgumentBlock&& block);
  void lay_out(Call& call);
  [[nodiscard]] Call* find(std::uint64_t id) const;
  [[nodiscard]] std::vector<std::shared_ptr<Call>> unfinished() const;
  bool progress();
  void attend(std::int64_t submitted);
  bool catch_up();
  void dispatch();
  void grant(const scheduler::Grant& grant);
  bool encode_for(Call& call, const scheduler::Grant& grant);
  [[nodiscard]] Origin::Kind origin(const Call& result, int to) const;
  [[nodiscard]] int engine_with_arguments(const Call& call) const;
  void enter_team(Call& call);
  void enter_team(Call& call, const scheduler::Grant& grant);
  void end_root_part(Call& call);
  void write_batch(Call& call, const ArgumentBlock& block, const scheduler::Grant& grant, std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] Account& account(int engine) { return accounts_[static_cast<std::size_t>(engine)]; }
  transport::Message& outgoing(int engine);
  void send(int engine);
  void send_all();

  void on_frame(transport::Frame& frame) override;
  void on_results(transport::Frame& frame, const wire::Results& results);
  void on_published(const wire::Published& published);
  void load(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value);
  std::exception_ptr remote_error(const Call& call, std::uint64_t item, int by, wire::Failure failure,
                                  std::vector<std::string> earlier) const;
  bool fail_item(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value);
  static TimeoutError timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier);
  void note_desertion(const Call& call, std::uint64_t item, const std::exception_ptr& error);
  void check_desertions();
  void finish_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  bool land();
  [[nodiscard]] bool landing(const Call& call) const;
  void end_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  void count_end(const Call& call, const ItemRecord& record);
  static void complete(Call& call);
  void end_call(Call& call);
  std::shared_ptr<Call> end_flight(Call& call);
  std::shared_ptr<Call> delist(Call& call);
  static scheduler::Placement placement(const Call& call, std::uint64_t item);
  void schedule(Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block);
  void place(Call& call);

  // Dependencies: what waits for others.
  Waiting look_up(Call& call);
  Call& resolve(const Prerequisite& prerequisite);
  void count(const Dependency& dependency, Waiting& waiting, scheduler::Dependencies::Need need);
  void wait_for(Call& call, Waiting&& waiting);
  void tell_dependents(Call& call, std::uint64_t item);
  void decide();
  void release(Call& call, std::vector<int>&& engines);
  void doom(Call& call, const TaskId& cause);

  // Attempts: items that are run again, or for too long, or that come back.
  bool again(Call& call, std::uint64_t item, int engine, const std::exception_ptr& error);
  void refused(Call& call, std::uint64_t item, int engine);
  static void arguments_gone(Call& call, std::uint64_t item);
  void resubmit(Call& call, std::uint64_t item);
  void on_overdue(int engine, const wire::Overdue& overdue);
  void on_returned(int engine, const wire::Returned& returned);
  void on_subtask(int engine, const wire::Subtask& subtask);
  void answer(const Call& call);
  void answer(int engine, std::uint64_t ticket, const std::exception_ptr& error);
  bool was_late(int engine, std::uint64_t call, std::uint64_t item);
  void recall();
  void check_timers();
  void withdraw(Call& call, Status status, const std::function<std::exception_ptr(const TaskId&)>& error);
  void withdraw(Call& call, const std::string& why);
  void give_up(Call& call, Status status, const std::function<std::exception_ptr(const TaskId&)>& error);
  void stop(Call& call, std::uint64_t begin, std::uint64_t end);
  void give_up_waiting(Call& call, std::uint64_t item);
  void unschedule(const Call& call, std::uint64_t item);
  [[nodiscard]] scheduler::Work work_for(const Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) const;

  // Continuations; under the lock.
  void continue_after(Call& call);
  void run_next(std::unique_lock<controller::SharedLock>& guard);
  [[nodiscard]] bool continuing() const { return !due_.empty() || running_ > running_here(); }
  [[nodiscard]] static int running_here();

  [[nodiscard]] bool may_drive() const;
  void wake_pulse();
  void pulse();

  transport::Endpoint& endpoint_;
  ControllerSettings settings_;
  mutable controller::SharedLock lock_;
  transport::SpinTime spin_;
  scheduler::Scheduler scheduler_;
  CallTable calls_;              // those that have not ended, and those that may be asked for
  std::uint64_t in_flight_ = 0;  // of these, that have not ended
  std::uint64_t next_call_ = 1;
  const std::uint16_t run_;
  std::uint64_t next_ticket_;  // of what engines deliver to each other; those of another run may still be known there
  scheduler::Dependencies dependencies_;
  bool deciding_ = false;
  std::unordered_map<std::uint64_t, std::shared_ptr<Call>> decided_;  // kept while what follows from their end is found out
  std::set<std::tuple<int, std::uint64_t, std::uint64_t>> late_;      // engine, call and item that ran out of time there and has not ended
  controller::Timers timers_;                                         // of calls that have a queue_timeout
  std::int64_t next_recall_ = 0;
  std::vector<std::optional<transport::Message>> outgoing_;  // by engine, what this round sends
  std::vector<int> to_send_;                                 // engines with something there
  std::vector<Landing> landing_;
  std::vector<Desertion> desertions_;
  controller::Teams& teams_;
  std::vector<int> peers_;                         // by engine
  std::vector<Account> accounts_;                  // likewise
  std::deque<std::shared_ptr<Continuation>> due_;  // to be run
  int running_ = 0;                                // that are being run
  bool giving_up_ = false;                         // the client has failed: none is run any more
  std::size_t goodbyes_ = 0;
  bool closing_ = false;  // engines have been told that no more comes
  std::atomic<bool> open_{true};

  std::int64_t last_submission_ = 0;   // of a call that nobody was about to wait for
  unsigned held_back_ = 0;             // such calls that were not handed out at once
  std::atomic<bool> attended_{false};  // somebody has looked for messages while making calls
  std::atomic<int> drivers_{0};        // threads that wait and drive; the pulse leaves the work to them
  std::atomic<int> pulse_state_{0};
  std::thread pulse_;
};

template <class Ready>
bool Controller::drive(const Deadline& deadline, Ready ready, bool for_continuations) {
  const bool drives = may_drive();
  const bool continues = drives && (for_continuations || running_here() == 0);
  const Driving driving(drives ? &drivers_ : nullptr);
  std::unique_lock guard(lock_);
  transport::Idle idle(spin_);
  while (!ready()) {
    if (continues && !due_.empty()) {
      // It may take its time, in which others drive.
      drivers_.fetch_sub(1, std::memory_order_relaxed);
      run_next(guard);
      drivers_.fetch_add(1, std::memory_order_relaxed);
      idle.reset();
      continue;
    }
    if (drives && progress()) {
      idle.reset();
      if (lock_.wanted()) lock_.let_others_in();
      continue;
    }
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
    auto pause = idle.pause();
    if (pause.count() == 0) {
      if (!drives || lock_.wanted()) lock_.let_others_in();
      continue;
    }
    if (deadline) pause = std::min<std::chrono::nanoseconds>(pause, *deadline - std::chrono::steady_clock::now());
    guard.unlock();
    transport::nap(pause);
    guard.lock();
  }
  idle.reset();
  return true;
}

}  // namespace rankview::detail
