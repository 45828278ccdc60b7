// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/code_address.hpp>
#include <rankview/detail/stream.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

// What controller and engines say to each other. A message is a sequence of records; this is their layout, in native byte order,
// since all ranks run the same build. Pure: no MPI, no threads, no clock.
namespace rankview::wire {

using detail::CodeAddress;
using detail::Reader;
using detail::Writer;

// ---- controller to engine -----------------------------------------------------------------------------------------------------

// Run items [first, first + count) of a call. Their arguments lie one after the other: each of `stride` bytes, or, with a stride
// of 0, each behind its size.
struct Batch {
  CodeAddress thunk;
  CodeAddress function{};  // zero where the callable is no function pointer
  std::uint64_t call = 0;
  bool has_object = false;  // the callable's state was sent before, in a CallableState of this call
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t stride = 0;
  std::span<const std::byte> items;
  std::uint64_t team = 0;          // the engines that run it together, or 0
  std::uint64_t votes = 0;         // each of them tells rank 0 first whether it can take part, in so many rounds
  bool communicator = false;       // each item is run with a communicator of the team
  bool first_only = false;         // only the result of the team's first engine is wanted
  CodeAddress predicate{};         // a bool() to be asked before each item, or zero
  std::int64_t timeout = 0;        // nanoseconds that an item may run, or 0
  bool flat = false;               // arguments and results lie in the message, whatever their size
  bool movable = false;            // other engines may run what has not begun
  bool slow = false;               // it may take long: results of what went before are sent first
  bool keep = false;               // if the result is long, it may be wanted here as an argument
  bool isolated = false;           // each item runs in a process of its own
  bool forked = false;             // which is a child of the engine, and has its variables
  std::uint64_t memory_limit = 0;  // isolated: bytes that an item may use, or 0
  bool awaits = false;             // other engines deliver some of the arguments
  std::uint64_t first_ticket = 0;
  std::vector<std::int32_t> holders{};  // which engine delivers under each ticket from the first on
};

// The result of a call that this engine has kept is to be delivered to another one.
struct Forward {
  std::uint64_t call = 0;
  std::uint64_t ticket = 0;
  std::uint64_t to = 0;  // engine
};

// The state of a call's callable.
struct CallableState {
  std::uint64_t call = 0;
  std::span<const std::byte> state;
};

// Items [first, first + count) of a call are not wanted any more: those that have not begun shall not, one that runs is told.
struct Stop {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// Consecutive items of a call.
struct Items {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t whole = 0;  // all or none of them

  friend bool operator==(const Items&, const Items&) = default;
};

// How a Subtask of this engine's ended: its encoded value, or a Failure.
struct SubtaskResult {
  std::uint64_t ticket = 0;
  std::uint64_t failed = 0;
  std::span<const std::byte> value;
};

// Others have nothing to do: what has not begun of these is to be given back.
struct Recall {
  std::vector<Items> items;
};

// The call is over: its CallableState may go.
struct DropCallable {
  std::uint64_t call = 0;
};

enum class Ending : std::uint64_t { completed, failed };

// These engines, in this order, are to be known as a team from here on. Making it takes all of them at once: each says that it is at it,
// and goes on when it is told to.
struct Join {
  std::uint64_t team = 0;
  std::vector<std::int32_t> engines;
};

// All engines of the team are at it; rank 0 begins, too.
struct Assemble {
  std::uint64_t team = 0;
  std::uint64_t turn = 0;  // of the teams that are made, in the order in which rank 0 begins that
};

// The team will not be asked for any more.
struct Disband {
  std::uint64_t team = 0;
};

// An engine has died: nothing comes from it any more, and what several were to do with it does not come about.
struct Lost {
  std::int64_t engine = 0;
};

// No more batches come. After Ending::failed, those that have not begun shall not.
struct End {
  Ending ending = Ending::completed;
  std::int64_t exit_code = 0;
  std::string reason;
  std::uint64_t losses = 0;  // engines that have died
};

// ---- engine to engine ----------------------------------------------------------------------------------------------------------

// Answers a Forward: the encoded result, or that it is not there any more.
struct Delivery {
  std::uint64_t ticket = 0;
  std::uint64_t found = 0;
  std::span<const std::byte> value;
};

// ---- engine to controller -----------------------------------------------------------------------------------------------------

// How items [first, first + count) of a call ended, in the order in which they ran. `started` is when the first began; each of the
// others began when the one before had ended. Read the items with ResultCursor.
struct Results {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t started = 0;  // nanoseconds of the wall clock
  std::span<const std::byte> items;
};

// The answer to a Recall: what will not be run here. May be nothing.
struct Returned {
  std::vector<Items> items;
};

// A task submits another: the engine's number for it, and what a Batch of one item would have.
struct Subtask {
  std::uint64_t ticket = 0;
  CodeAddress thunk;
  CodeAddress function{};
  std::uint64_t parent_call = 0;  // the task that submits it
  std::uint64_t parent_item = 0;
  std::uint64_t stride = 0;
  std::span<const std::byte> object;
  std::span<const std::byte> item;
};

// So many of the items that the engine has begun wait for subtasks; it could run something else meanwhile.
struct Suspended {
  std::uint64_t items = 0;
};

// An item has run for longer than its batch allows, and goes on. Its result comes when it has ended, and will be a Failure.
struct Overdue {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
};

// The engine has come to the Join of a team, and waits.
struct TeamReady {
  std::uint64_t team = 0;
};

// What the engine's variables take, told now and then.
struct Memory {
  std::uint64_t variables = 0;
  std::uint64_t bytes = 0;
};

// A task that runs has this to tell.
struct Published {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::string name;
  std::string type;  // of the value, as std::type_info names it
  std::span<const std::byte> value;
};

// What an item that has ended there has printed. Comes before its result, if there is anything.
struct Printed {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::span<const std::byte> out;
  std::span<const std::byte> err;
};

// The engine's last word.
struct Bye {};

using Record = std::variant<Batch, CallableState, Stop, Recall, SubtaskResult, DropCallable, Forward, Join, Assemble, Disband, Lost, End,
                            Delivery, Results, Returned, Subtask, Suspended, Overdue, TeamReady, Memory, Published, Printed, Bye>;

// Appends a record. A SubtaskResult, Subtask, Batch, Delivery, CallableState, Published, Printed or Results refers to bytes that are copied
// into the message behind it.
void write(Writer& out, const Batch& record);
void write(Writer& out, const CallableState& record);
void write(Writer& out, const Stop& record);
void write(Writer& out, const SubtaskResult& record);
void write(Writer& out, const Recall& record);
void write(Writer& out, const DropCallable& record);
void write(Writer& out, const Forward& record);
void write(Writer& out, const Delivery& record);
void write(Writer& out, const Join& record);
void write(Writer& out, const Assemble& record);
void write(Writer& out, const Disband& record);
void write(Writer& out, const Lost& record);
void write(Writer& out, const Returned& record);
void write(Writer& out, const Subtask& record);
void write(Writer& out, const Suspended& record);
void write(Writer& out, const Overdue& record);
void write(Writer& out, const TeamReady& record);
void write(Writer& out, const Memory& record);
void write(Writer& out, const Published& record);
void write(Writer& out, const Printed& record);
void write(Writer& out, const End& record);
void write(Writer& out, const Bye& record);

// The next record of a message. What it refers to stays in the reader's bytes. Throws DecodeError for anything that write() would not have
// written.
Record read(Reader& in);

// Walks the arguments of a batch.
class ItemCursor {
 public:
  explicit ItemCursor(const Batch& batch) : in_(batch.items), stride_(batch.stride) {}
  std::span<const std::byte> next() {
    return in_.take(stride_ != 0 ? static_cast<std::size_t>(stride_) : static_cast<std::size_t>(in_.value<std::uint64_t>()));
  }

 private:
  Reader in_;
  std::uint64_t stride_;
};

// One item among Results: its encoded value, or its Failure.
struct ItemResult {
  std::int64_t completed = 0;  // nanoseconds of the wall clock
  bool failed = false;
  std::span<const std::byte> value;
};

class ResultCursor {
 public:
  explicit ResultCursor(const Results& results) : in_(results.items) {}
  ItemResult next() {
    ItemResult item;
    item.completed = in_.value<std::int64_t>();
    const auto size = in_.value<std::uint64_t>();
    item.failed = (size & 1U) != 0;
    item.value = in_.take(static_cast<std::size_t>(size >> 1U));
    return item;
  }

 private:
  Reader in_;
};

// Builds Results item by item.
class ResultsWriter {
 public:
  explicit ResultsWriter(Writer& out) : out_(&out) {}

  // Continues the open record if the item is the next one of the same call, else begins a new one.
  void add(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
           std::span<const std::byte> value);
  // What comes next goes into a new record.
  void close() { open_ = false; }

 private:
  Writer* out_;
  bool open_ = false;
  std::size_t header_ = 0;
  std::uint64_t call_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t count_ = 0;
};

// What is sent of an exception.
// `stood_back`: the engine itself could have taken part in a collective that did not come about. `stopped`: it was told in time not to
// begin. `refused`: its predicate said no. `timed_out`: it ran for too long. `team_broken`: an engine has died that it ran it with.
enum class FailureKind : std::uint8_t {
  exception,
  name,
  type,
  stood_back,
  stopped,
  refused,
  timed_out,
  gone,
  crashed,
  killed,
  team_broken
};

struct Failure {
  FailureKind kind = FailureKind::exception;
  std::string type_name;
  std::string message;
  // crashed: how the process ended, and how much memory it had at most.
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
  std::uint64_t peak_memory = 0;
};

void write(Writer& out, const Failure& failure);
Failure read_failure(Reader& in);

}  // namespace rankview::wire
