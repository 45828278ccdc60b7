// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/dependency.hpp>
#include <rankview/detail/call_memory.hpp>
#include <rankview/detail/callable.hpp>
#include <rankview/detail/handle.hpp>
#include <rankview/detail/rare.hpp>
#include <rankview/flags.hpp>
#include <rankview/lost_engine.hpp>
#include <rankview/metadata.hpp>
#include <rankview/queue_status.hpp>
#include <rankview/variables.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1::detail {

class Controller;
struct CompletionFeed;
struct CallLife;

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

// The encoded arguments of consecutive items. Items of one size lie side by side; others each have their size before them.
struct ArgumentBlock {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t unfinished = 0;
  std::size_t stride = 0;              // the size of every item, or 0
  std::vector<std::uint64_t> offsets;  // where each item begins, without a stride
  Writer data;

  // The bytes of items [begin, end), counted in the call.
  [[nodiscard]] std::span<const std::byte> items(std::uint64_t begin, std::uint64_t end) const;
};

// What a task has told of itself under a name, as it was encoded.
struct PublishedValue {
  std::string type;  // as std::type_info names it
  std::vector<std::byte> bytes;
};

// What rank 0 does when a call has ended.
class Continuation {
 public:
  Continuation() = default;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;
  virtual ~Continuation();
  // Once for each call that it was added to, outside of the controller's lock, in whatever thread drives. Not when the client has failed.
  virtual void run() noexcept = 0;
};

// How a call's items are spread over engines.
enum class Spread : std::uint8_t {
  blocks,    // each of `engines` has a block of them of its own
  each,      // each of `engines` has one, with the same arguments
  together,  // likewise, or with its own arguments; they run them as a team
  pool,      // any of `engines`, of all of them if none is named, runs any of them
  teams,     // any of several teams of engines runs any of them, together
  rank_0,    // there is one, which rank 0 runs
};

// One call of a view's verb: what is asked, which its maker fills in before the submission and nobody changes afterwards, and, in the
// classes that derive from it, where the results go. Shared by the handles (AsyncResult) and the controller.
//
// What becomes of it is the runtime's business (CallLife). It lies in the call and is not seen here, so that the runtime may change while
// programs that were compiled stay.
class Call {
 public:
  // `plain`: what the virtual functions do runs no code of the user's; see is_plain.
  explicit Call(bool plain);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call();

  std::uint64_t id = 0;  // given by the submission
  std::shared_ptr<Controller> controller;
  Function function;
  std::vector<int> engines;  // in target order
  Spread spread = Spread::blocks;
  bool same_arguments = false;  // block 0 holds one item that is every item's
  bool nobody = false;          // there is no engine for its items
  bool communicator = false;    // who runs an item together gets a communicator
  bool multiple = false;        // a list of results, or one
  bool ordered = true;          // which is read in order, or as they come
  bool composite = false;       // failures are told together, also where there is one result
  bool keeps = false;           // the engine keeps its result for a while if it is long
  bool completes = false;       // complete() makes the result
  const bool plain;
  std::uint32_t chunk_size = 1;  // items that are handed out together
  std::uint64_t view = 0;        // through which it is submitted
  Rare<RootPart> root;           // what rank 0 does meanwhile
  // The flags', which live until the call has been submitted; null after that.
  const Dependency* after = nullptr;
  const Dependency* follow = nullptr;

  // ---- where results go; one of these at a time, and without the controller's lock unless the call is plain ----
  // Makes room for results of `count` items; `expected` may be as many as there will be.
  virtual void grow(std::uint64_t count, std::uint64_t expected) = 0;
  // Reads the result of `item` into its place.
  virtual void load(std::uint64_t item, Reader& in) = 0;
  // Writes the result of `item`, which is there, as load() reads it.
  virtual void save(std::uint64_t item, Writer& out);
  // Drops what results there are.
  virtual void discard() noexcept = 0;
  // Where a collective call is to put `count` elements on rank 0.
  virtual std::byte* room(std::uint64_t count);
  // All has arrived, and nothing failed.
  virtual void complete() {}

  // What becomes of it.
  CallLife& life() { return *reinterpret_cast<CallLife*>(life_); }
  [[nodiscard]] const CallLife& life() const { return *reinterpret_cast<const CallLife*>(life_); }

 private:
  static constexpr std::size_t life_bytes = 224;
  alignas(std::uint64_t) std::byte life_[life_bytes];
};

// Whether all items have ended, and rank 0's own part.
bool done(const Call& call) noexcept;
// How many items it has by now, and how many of these have ended.
std::size_t item_count(const Call& call) noexcept;
std::size_t ended_count(const Call& call) noexcept;

class CheckpointedItems;

// Adds items to a call that is being made. Encodes in the caller's thread and hands over block by block, so that engines begin while the
// rest is still being read; calls whose layout depends on the number of items wait for finish().
//
// Of a call with a checkpoint it looks for the result of each item, and hands over what was found instead of the arguments.
class Submission {
 public:
  // `expected`: how many items will come, if that is known.
  Submission(std::shared_ptr<Call> call, std::optional<std::uint64_t> expected);
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;
  // Without finish(), which means that reading the items threw: gives up what was submitted.
  ~Submission();

  // Room for so many bytes, if that is known to be all.
  void reserve(std::size_t bytes) { block_.data.bytes.reserve(bytes); }

  // Where to encode the next item. Every item of a call has the same stride: its size, or 0 if sizes differ.
  Writer& begin_item(std::size_t stride) {
    if (block_.count != 0 && (block_.count == block_items || block_.data.bytes.size() >= block_bytes)) hand_over();
    block_.stride = stride;
    item_ = block_.data.mark();
    if (stride == 0) block_.data.value(std::uint64_t{0});
    return block_.data;
  }
  void end_item() {
    if (block_.stride == 0) set_size();
    ++block_.count;
    if (checkpointed_ != nullptr && recall_item()) return;
    if (block_.data.attached_since(item_)) isolate();
  }

  // Drives the controller while more than some tens of thousands of items wait.
  void throttle() {
    if (std::exchange(handed_over_, false)) wait_for_engines();
  }

  // Everything is there. `unattended`: nobody is about to wait for the call, so the pulse is told.
  void finish(bool unattended);

 private:
  static constexpr std::uint64_t block_items = 1024;
  static constexpr std::size_t block_bytes = 64 * 1024;

  void set_size();
  bool recall_item();
  void isolate();
  void begin();
  void hand_over();
  void hand_over_recalled();
  void wait_for_engines();

  std::shared_ptr<Call> call_;
  std::optional<std::uint64_t> expected_;
  ArgumentBlock block_;
  Writer::Mark item_{};
  std::unique_ptr<CheckpointedItems> checkpointed_;  // null without a checkpoint
  bool begun_ = false;
  bool handed_over_ = false;
  bool finished_ = false;
};

// What few calls have; before the submission. An empty label is none.
void set_label(Call& call, const std::string& label);
// As what a call is known in a checkpoint, by types.
struct CalledAs {
  const std::type_info& callable;
  const std::type_info* arguments;   // what travels, where the callable leaves that open, else null
  const std::type_info& travelling;  // what travels, as in void(int, std::string)
  const std::type_info& result;
  std::size_t result_bytes;  // if that is always the same, else 0
};
// Has results of the call looked for and kept as the flags say. Throws UsageError.
void set_checkpoint(Call& call, const Flags& flags, const CalledAs& as);
// Each item is run by one of these teams.
void set_teams(Call& call, const std::vector<std::vector<int>>& teams);
// Tells the feed of the ends of its items, item 0 as number `first`; several calls may share one.
void add_feed(Call& call, const std::shared_ptr<CompletionFeed>& feed, std::uint64_t first);

// Some of the arguments are results: when these are there, encode() makes the call's one item. Without origins, values are sent along.
// `plain`: that runs no code of the user's.
using EncodeArguments = std::function<void(ArgumentBlock&, Origins*)>;
void defer(Call& call, const Dependency& arguments, EncodeArguments encode, bool plain);

// Gives a call the terms of its flags, for a view that leaves it to the scheduler where its tasks run, or for one that does not. Throws
// UsageError.
void set_balanced_terms(Call& call, const Flags& flags);
void set_direct_terms(Call& call, const Flags& flags);
void set_collective_terms(Call& call, const Flags& flags);

// A call of one item that is encoded later, with Terms::encode.
void submit_empty(const std::shared_ptr<Call>& call, bool unattended);
// Encodes the only item of a block, of `stride` bytes or with its size before it: between the two.
void begin_only_item(ArgumentBlock& block, std::size_t stride);
void end_only_item(ArgumentBlock& block);

// ---- what the templates ask of the compiled runtime ----------------------------------------------------------------------------

std::vector<int> live_engines(const Controller& controller);
// Those of them that live. Throws EngineError if all of them have died.
std::vector<int> still_live(const Controller& controller, const std::vector<int>& engines);
// The same engines. Throws EngineError if one of them has died.
std::vector<int> all_live(const Controller& controller, std::vector<int> engines);
std::vector<LostEngine> lost_engines(const Controller& controller);
void on_lost(Controller& controller, std::function<void(const LostEngine&)> f);
// Engine numbers as given by the user, negative ones counted from the end. Throws std::out_of_range or UsageError.
std::vector<int> resolve(const Controller& controller, const std::vector<int>& targets);
int resolve(const Controller& controller, int target);
// These engines of a view, or UsageError if one is none of it.
std::vector<int> chosen(const std::vector<int>& view, std::vector<int> engines);
void check_team_flags(const Flags& flags);
// Throws UsageError if tasks are to be isolated, with that as the reason against it.
void check_not_isolated(const Flags& flags, const char* why_not);
// Likewise if results are to be kept.
void check_no_checkpoint(const Flags& flags);
// Throws UsageError when the run that the controller belonged to has ended.
void check_open(const Controller& controller);
// Throws UsageError where a call that rank 0 runs would wait for itself.
bool wait_all(Controller& controller, const Deadline& deadline);
void spin(Controller& controller);
void drain(Controller& controller);
bool draining(const Controller& controller);
QueueStatus queue_status(Controller& controller, const std::vector<int>& engines);

// Somebody looks at how it ended.
void note_error_seen(Call& call) noexcept;
// Says on stderr that a call failed and nobody looked, once.
void report_unseen(Call& call) noexcept;

// Waits for the whole call, or for one item of it. False when the deadline passed first.
bool wait(Call& call, const Deadline& deadline);
bool wait(Call& call, std::uint64_t item, const Deadline& deadline);
// Until the first failure, which it returns, or the end, with null.
std::exception_ptr wait_first_error(Call& call, const Deadline& deadline);

// Whether the call is done, after a look at what has arrived.
bool poll(Call& call);

// Whether anything failed. The call must be done.
bool failed(const Call& call);
// How one item ended: null for a value. The item must have ended.
std::exception_ptr error_of(Call& call, std::uint64_t item);
// Throws what get() throws if any item failed. The call must be done.
void rethrow(Call& call);
// The same, for a call with one value, as a pointer; null if all is well.
std::exception_ptr error_of(Call& call);

// A feed with everything that has ended so far, in the order in which it was received.
std::shared_ptr<CompletionFeed> subscribe(Call& call);
// The next item that ended, waiting for it; nothing when all have been read.
std::optional<std::uint64_t> next_ended(Call& call, CompletionFeed& feed, std::uint64_t already_read);

// Throws std::out_of_range for an item that there is not.
void check_item(Call& call, std::uint64_t item);
// What an item has published under a name by now. Throws NameError if nothing, TypeError if it is of another type.
std::shared_ptr<const PublishedValue> published(Call& call, std::uint64_t item, std::string_view name, const std::type_info& type);
bool has_published(Call& call, std::uint64_t item, std::string_view name);
// Everything it has. `bytes` are those of the encoded value.
std::vector<VariableInfo> list_published(Call& call, std::uint64_t item);

void abort(Call& call);
void abort_all(Controller& controller);
// Waits for tasks that are named by results or ids, or gives them up. Throws UsageError for ids that never were.
bool wait_for(Controller& controller, const Dependency& tasks, const Deadline& deadline);
void abort(Controller& controller, const Dependency& tasks);
DoneAndPending done_and_pending(Call& call);
// The place of an element among `count`; a negative index counts from the end. Throws std::out_of_range.
std::size_t place_of(std::int64_t index, std::size_t count);
// What was submitted through a view or copies of it. new_view(): a number for one.
void abort_view(Controller& controller, std::uint64_t view);
std::uint64_t new_view() noexcept;

struct Times {
  Seconds elapsed, wall, serial;
};
Times times_of(Call& call);
Metadata metadata_of(Call& call, std::uint64_t item);
void wait_interactive(Call& call, std::chrono::milliseconds interval);

// ---- calls that rank 0 runs itself ----

// The controller of the run that is under way in this process, the latest if there are several. Throws UsageError if there is none.
std::shared_ptr<Controller> running_controller();
// Makes a call known whose one item rank 0 runs.
void begin_local(const std::shared_ptr<Call>& call, const std::shared_ptr<Controller>& controller);
// It is about to be run. False if it was given up.
bool enter_local(Call& call);
// It has been run, and its value, if there is one, is in place.
void end_local(Call& call, std::exception_ptr error);
// While it lives, the thread runs code of the client's that such a call is made of.
class InLocal {
 public:
  InLocal() noexcept;
  InLocal(const InLocal&) = delete;
  InLocal& operator=(const InLocal&) = delete;
  ~InLocal();
};
// Has the continuation run when the call has ended. False if that is done already, and nobody will.
bool add_continuation(Call& call, const std::shared_ptr<Continuation>& continuation);
// The same, running it here if that is done already.
void continue_with(Call& call, const std::shared_ptr<Continuation>& continuation);

// Some numbers, as an error shows them.
std::string listed(std::span<const std::uint64_t> counts);
// Throws UsageError if the ranges of a map are not all of one length.
void check_lengths(std::span<const std::uint64_t> lengths);
// Throws UsageError if parts of these sizes cannot have been dealt round robin. `what`: the verb and the variable.
void check_round_robin(const std::string& what, std::span<const std::uint64_t> counts);

[[noreturn]] void throw_nobody();
[[noreturn]] void throw_late(Call& call, Seconds timeout);
[[noreturn]] void throw_not_ready(const char* what);

}  // namespace rankview::detail
