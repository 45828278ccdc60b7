// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/stack.hpp"
#include "transport/clock.hpp"
#include "transport/endpoint.hpp"
#include "transport/idle.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/callable.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/variables.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

namespace rankview::engine {

class Group;

struct Settings {
  int id = 0;
  int size = 1;
  transport::IdleLimits idle;
  transport::Clock clock;
  // Whether the process does nothing but serve, so that any thread of it belongs to a task.
  bool own_process = true;
  // Whether a second thread may use the endpoint while a task runs.
  bool pulse = false;
  // After the client has failed, so long may the running task go on before the process is ended.
  std::chrono::milliseconds grace{10'000};
};

// Who may touch the engine's state: the loop, except while it is in a task; then the pulse. Handing it over costs the loop a store before
// each task and an exchange after it.
class Baton {
 public:
  void unlock() { held_.store(false, std::memory_order_release); }
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  bool try_lock() { return !held_.exchange(true, std::memory_order_acquire); }

  // In a child that the task has forked, which is no engine: nobody gets it any more, and who wants it ends the child.
  void withhold() {
    forked_ = true;
    held_.store(true, std::memory_order_relaxed);
  }

  // Lends it, for a while, to whoever wants it.
  class Lent {
   public:
    explicit Lent(Baton& baton) : baton_(baton) { baton_.unlock(); }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() { baton_.lock(); }

   private:
    Baton& baton_;
  };

 private:
  void wait() const;

  std::atomic<bool> held_{true};
  bool forked_ = false;
};

// Runs what the controller sends, one task after the other, and keeps the variables.
//
// A pulse, awake only while the engine is busy, does for a long task what the loop does between short ones: sends finished results,
// receives messages, and ends the process when the client has failed and the task does not stop.
class Engine final : private transport::FrameHandler {
 public:
  Engine(const Settings& settings, Variables& variables);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Serves until the controller says that it is over; returns how it ended.
  wire::End serve(transport::Endpoint& endpoint);

  // Whether the running task has been given up. For the task's threads.
  [[nodiscard]] bool stop_requested();
  // The same as a token, on which callbacks can be set.
  [[nodiscard]] std::stop_token stop_token();
  // For the task's own thread: submits a task, waits for it while it runs others, and forgets it.
  std::uint64_t submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride);
  [[nodiscard]] bool answered(std::uint64_t ticket);
  std::vector<std::byte> await(std::uint64_t ticket);
  void forget(std::uint64_t ticket);

  // Tells rank 0 a value of the running task. For the task's threads.
  void publish(std::string_view name, const char* type, std::span<const std::byte> value);

  // The long result of a call that was made here, if it is still there and of that type, or null. For the task's own thread.
  [[nodiscard]] std::shared_ptr<const void> kept(std::uint64_t call, const std::type_info& type) const;
  // What another engine delivers under a ticket of the running task's; waits for it. For the task's own thread.
  std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t ticket);

  // For a child that the task has forked: it must not come back.
  void withhold() { baton_.withhold(); }

  // Whether the calling thread is the one that runs tasks.
  [[nodiscard]] bool on_own_thread() const;
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] Variables& variables() { return variables_; }

 private:
  class Running;
  class Arrival;

  // A message whose batches have not all been run.
  struct Pending {
    detail::Buffer bytes;
    std::vector<std::uint64_t> attachment_sizes;
    bool received = true;  // what is attached, if anything is
    transport::Frame frame;
    detail::Writer local;
  };
  struct Queued {
    std::variant<wire::Batch, wire::Join, wire::Disband> command;
    std::shared_ptr<Pending> message;  // of a batch
  };
  std::shared_ptr<Pending> new_pending();

  // A long result, and how it is sent.
  struct Kept {
    std::uint64_t call;
    const std::type_info* type;
    std::shared_ptr<const void> value;
    std::size_t bytes;
    std::vector<std::byte> encoded;
    std::vector<detail::Attachment> attachments;  // which lie in the value
  };

  // What another engine is to send, or has sent: either may be known first.
  struct Delivery {
    bool wanted = true;
    std::shared_ptr<Pending> message{};  // null until it is here
    bool found = false;
    std::span<const std::byte> value{};  // in the message
  };

  // What runs the items of a batch, as found in this process.
  struct Code {
    const detail::Thunk* thunk = nullptr;
    const void* function = nullptr;
    std::shared_ptr<const void> object;  // the call may be over for the client while its task still runs
    bool (*predicate)() = nullptr;
  };

  void on_frame(transport::Frame& frame) override;
  void on_record(const wire::Record& record, const std::shared_ptr<Pending>& message);
  bool carry_out_next();
  void carry_out(const Queued& queued);
  void join(const wire::Join& join);
  void run(const wire::Batch& batch, Pending& message);
  std::span<const std::byte> next_arguments(wire::ItemCursor& items) const;
  bool run_item(const wire::Batch& batch, Pending& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                Group* group);
  void fold(const Code& code, void (*step)(detail::Invocation&));
  void end_fold(std::uint64_t call, const Code& code);
  void fail_fold(std::uint64_t call, const Code& code);
  void end_folded_items(std::uint64_t call, bool failed);
  void run_task(Pending& message, const Code& code, std::span<const std::byte> bytes, detail::Group* group);
  bool accepted(const Code& code);
  void give_up_queue();
  void give_back(const wire::Recall& recall);
  void give_back_all();
  [[nodiscard]] bool overdue(std::int64_t now) const;
  void stop(const wire::Stop& stop);
  void run_others_until_answered(std::uint64_t ticket);
  void check_depth(std::size_t more);
  void report_unseen(std::span<const std::byte> value) const;
  [[nodiscard]] bool stopped(std::uint64_t call, std::uint64_t item) const;
  [[nodiscard]] std::stop_source due_stop() const;
  Code code_of(const wire::Batch& batch);
  void add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed);
  void keep(std::uint64_t call);
  [[nodiscard]] const Kept* find_kept(std::uint64_t call) const;
  void deliver(const wire::Forward& forward);
  void expect(const wire::Batch& batch);
  void expect_no_more(const wire::Batch& batch);
  void on_delivery(const wire::Delivery& record, const std::shared_ptr<Pending>& message);
  void drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery);
  bool dropping();
  void receive(Pending& message, const std::vector<detail::Claims::Place>& places);
  void drop(Pending& message);
  void done_with(const wire::Batch& batch, Pending& message);
  void poll_or_nap(transport::Idle& idle);
  void flush();
  void report_memory();
  void look(std::int64_t now);
  void let_go_of_sent();
  void leave();

  void pulse();
  void beat();

  Settings settings_;
  Variables& variables_;
  transport::Endpoint* endpoint_ = nullptr;
  std::thread::id own_thread_;  // the one that serves, and runs tasks
  Baton baton_;
  transport::SpinTime spin_;

  std::deque<Queued> queue_;
  Pending no_message_;                     // of what is run without one
  std::shared_ptr<Pending> last_pending_;  // used again when nobody needs it any more
  struct State {
    std::span<const std::byte> bytes;
    std::shared_ptr<Pending> message;
    std::shared_ptr<const void> object;
  };
  std::unordered_map<std::uint64_t, State> objects_;
  std::unordered_map<std::uint64_t, std::unique_ptr<transport::Team>> teams_;
  std::set<std::uint64_t> assembling_;  // teams that may be made now
  std::vector<wire::Stop> stops_;       // of calls that may have items here
  // How far a batch is that has been begun.
  struct Position {
    std::uint64_t call = 0;
    std::uint64_t item = 0;
    std::uint64_t end = 0;  // behind its last item
    bool movable = false;   // what has not begun may be given back
  };
  Position at_;
  std::vector<Position*> suspended_;             // those whose item waits for subtasks while another runs
  bool told_overdue_ = false;                    // rank 0 knows that the item has run out of time
  std::optional<std::stop_source> stop_source_;  // of the running task, where it has asked
  struct Answered {
    bool failed;
    std::vector<std::byte> value;
  };
  std::map<std::uint64_t, std::optional<Answered>> subtasks_;  // by ticket, those that the tasks here still ask for
  std::uint64_t next_ticket_ = 1;
  std::optional<Stack> stack_;  // of the thread that serves, where tasks have submitted some
  std::optional<wire::End> end_;
  std::int64_t end_seen_ = 0;

  transport::Message outbox_;
  wire::ResultsWriter results_{outbox_};
  std::int64_t oldest_result_ = 0;  // when the first unsent one was finished, 0 if all are sent
  std::int64_t last_look_ = 0;
  wire::Memory reported_;           // what was last told of the variables
  bool tasks_since_report_ = true;  // at the start of a run nothing has been told
  std::int64_t next_report_ = 0;    // not before
  std::int64_t last_published_ = 0;
  detail::Writer scratch_;                        // the result of the item that runs
  const std::type_info* scratch_type_ = nullptr;  // of what owns its attachments
  std::deque<Kept> kept_;                         // the latest behind
  std::size_t kept_bytes_ = 0;
  std::map<std::uint64_t, Delivery> deliveries_;                // by ticket, those that have not been taken
  std::vector<std::unique_ptr<transport::Transfer>> dropping_;  // attachments that are received for nothing
  std::shared_ptr<void> folded_;                                // what a thunk keeps from item to item where results are folded
  struct FoldedItem {
    std::uint64_t item;
    std::int64_t started;
    std::int64_t completed;
  };
  std::vector<FoldedItem> folded_items_;  // what that is made of

  // What the pulse sees of the loop without the baton.
  std::atomic<std::uint64_t> items_begun_{0};
  std::atomic<bool> stop_requested_{false};
  std::atomic<std::int64_t> deadline_{0};  // of the item that runs, 0 for none
  std::atomic<int> activity_{0};
  std::thread pulse_;
};

// The engine that runs the calling thread's task, null if there is none.
Engine* current();

}  // namespace rankview::engine
