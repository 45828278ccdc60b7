// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "wire/messages.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace rankview::wire {
namespace {

// ---- what records consist of -------------------------------------------------------------------------------------------------

// A record begins with its kind: the k-th of these is of kind k, from 1 on.
using Kinds = std::tuple<Batch, CallableState, DropCallable, End, Results, Bye, Join, Assemble, Disband, TeamReady, Memory, Stop, Recall,
                         Returned, Overdue, Published, SubtaskResult, Subtask, Suspended, Forward, Delivery, Lost, Printed>;
static_assert(std::tuple_size_v<Kinds> == std::variant_size_v<Record>);

template <class R, std::size_t... I>
constexpr std::uint64_t find_kind(std::index_sequence<I...>) {
  return ((std::is_same_v<R, std::tuple_element_t<I, Kinds>> ? I + 1 : 0) + ...);
}
template <class R>
constexpr std::uint64_t kind_of = find_kind<R>(std::make_index_sequence<std::tuple_size_v<Kinds>>());

// The fields that follow, in order. Some have more behind these: see write_rest().
template <class R>
constexpr std::tuple fields{};
template <>
constexpr std::tuple fields<Batch>{&Batch::thunk,  &Batch::function, &Batch::call,  &Batch::first,     &Batch::count,
                                   &Batch::stride, &Batch::team,     &Batch::votes, &Batch::predicate, &Batch::timeout};
template <>
constexpr std::tuple fields<CallableState>{&CallableState::call, &CallableState::state};
template <>
constexpr std::tuple fields<Stop>{&Stop::call, &Stop::first, &Stop::count};
template <>
constexpr std::tuple fields<SubtaskResult>{&SubtaskResult::ticket, &SubtaskResult::failed, &SubtaskResult::value};
template <>
constexpr std::tuple fields<Recall>{&Recall::items};
template <>
constexpr std::tuple fields<DropCallable>{&DropCallable::call};
template <>
constexpr std::tuple fields<Forward>{&Forward::call, &Forward::ticket, &Forward::to};
template <>
constexpr std::tuple fields<Join>{&Join::team, &Join::engines};
template <>
constexpr std::tuple fields<Assemble>{&Assemble::team, &Assemble::turn};
template <>
constexpr std::tuple fields<Disband>{&Disband::team};
template <>
constexpr std::tuple fields<Lost>{&Lost::engine};
template <>
constexpr std::tuple fields<End>{&End::ending, &End::exit_code, &End::reason, &End::losses};
template <>
constexpr std::tuple fields<Delivery>{&Delivery::ticket, &Delivery::found, &Delivery::value};
template <>
constexpr std::tuple fields<Results>{&Results::call, &Results::first, &Results::count, &Results::started, &Results::items};
template <>
constexpr std::tuple fields<Returned>{&Returned::items};
template <>
constexpr std::tuple fields<Subtask>{&Subtask::ticket,      &Subtask::thunk,  &Subtask::function, &Subtask::parent_call,
                                     &Subtask::parent_item, &Subtask::stride, &Subtask::object,   &Subtask::item};
template <>
constexpr std::tuple fields<Suspended>{&Suspended::items};
template <>
constexpr std::tuple fields<Overdue>{&Overdue::call, &Overdue::item};
template <>
constexpr std::tuple fields<TeamReady>{&TeamReady::team};
template <>
constexpr std::tuple fields<Memory>{&Memory::variables, &Memory::bytes};
template <>
constexpr std::tuple fields<Published>{&Published::call, &Published::item, &Published::name, &Published::type, &Published::value};
template <>
constexpr std::tuple fields<Printed>{&Printed::call, &Printed::item, &Printed::out, &Printed::err};
template <>
constexpr std::tuple fields<Failure>{&Failure::kind, &Failure::type_name, &Failure::message};

// What a batch says with yes or no, a bit each.
constexpr bool Batch::*batch_flags[] = {&Batch::has_object, &Batch::communicator, &Batch::first_only, &Batch::flat,     &Batch::movable,
                                        &Batch::slow,       &Batch::keep,         &Batch::awaits,     &Batch::isolated, &Batch::forked};

// ---- writing -----------------------------------------------------------------------------------------------------------------

template <class T>
void write_field(Writer& out, const T& value) {
  out.value(value);
}
template <class T>
void write_elements(Writer& out, const T& elements) {
  out.value(static_cast<std::uint64_t>(elements.size()));
  out.raw(elements.data(), elements.size() * sizeof(*elements.data()));
}
void write_field(Writer& out, const std::string& text) { write_elements(out, text); }
void write_field(Writer& out, const std::span<const std::byte>& bytes) { write_elements(out, bytes); }
template <class T>
void write_field(Writer& out, const std::vector<T>& elements) {
  write_elements(out, elements);
}

template <class R>
void write_rest(Writer&, const R&) {}

void write_rest(Writer& out, const Batch& record) {
  std::uint64_t flags = 0;
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) flags |= std::uint64_t{record.*batch_flags[i]} << i;
  out.value(flags);
  if (record.awaits) {
    write_field(out, record.first_ticket);
    write_field(out, record.holders);
  }
  if (record.isolated) write_field(out, record.memory_limit);
  write_field(out, record.items);
}

void write_rest(Writer& out, const Failure& failure) {
  if (failure.kind != FailureKind::crashed) return;
  write_field(out, failure.signal);
  write_field(out, failure.exit_status);
  write_field(out, failure.peak_memory);
}

template <class R>
void write_fields(Writer& out, const R& record) {
  std::apply([&](auto... field) { (write_field(out, record.*field), ...); }, fields<R>);
  write_rest(out, record);
}

template <class R>
void write_record(Writer& out, const R& record) {
  out.value(kind_of<R>);
  write_fields(out, record);
}

// ---- reading -----------------------------------------------------------------------------------------------------------------

template <class T>
void read_field(Reader& in, T& value) {
  value = in.value<T>();
}
void read_field(Reader& in, std::string& text) {
  const std::size_t size = in.count(1);
  text.assign(reinterpret_cast<const char*>(in.skip(size)), size);
}
void read_field(Reader& in, std::span<const std::byte>& bytes) { bytes = in.take(in.count(1)); }
template <class T>
void read_field(Reader& in, std::vector<T>& elements) {
  elements.resize(in.count(sizeof(T)));
  in.raw(elements.data(), elements.size() * sizeof(T));
}

void check_items(std::uint64_t first, std::uint64_t count, const char* record) {
  if (count == 0 || first + count < first)
    throw DecodeError(std::string(record) + " of " + std::to_string(count) + " items from item " + std::to_string(first));
}

void check_items(const std::vector<Items>& items) {
  for (const Items& some : items) check_items(some.first, some.count, "a recall");
}

// What is behind the fields, and whether the whole makes sense.
template <class R>
void read_rest(Reader&, R&) {}

void read_rest(Reader& in, Batch& record) {
  const auto flags = in.value<std::uint64_t>();
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) record.*batch_flags[i] = (flags >> i & 1) != 0;
  if (flags >> std::size(batch_flags) != 0) throw DecodeError("a batch with flags that there are not: " + std::to_string(flags));
  if (record.awaits) {
    read_field(in, record.first_ticket);
    read_field(in, record.holders);
  }
  if (record.isolated) read_field(in, record.memory_limit);
  read_field(in, record.items);
  check_items(record.first, record.count, "a batch");
  // Each is for an argument.
  if (record.awaits && (record.holders.empty() || record.holders.size() > record.items.size()))
    throw DecodeError("a batch of call " + std::to_string(record.call) + " that awaits " + std::to_string(record.holders.size()) +
                      " results, and has " + std::to_string(record.items.size()) + " bytes of arguments");
  const std::uint64_t least = record.stride != 0 ? record.stride : sizeof(std::uint64_t);
  const bool fits = record.count <= record.items.size() / least;
  if (!fits || (record.stride != 0 && record.count * record.stride != record.items.size()))
    throw DecodeError("a batch of " + std::to_string(record.count) + " items of call " + std::to_string(record.call) + " in " +
                      std::to_string(record.items.size()) + " bytes");
}

void read_rest(Reader&, Join& record) {
  if (record.engines.empty()) throw DecodeError("team " + std::to_string(record.team) + " has no engines");
}

void read_rest(Reader&, Stop& record) { check_items(record.first, record.count, "a stop"); }

void read_rest(Reader&, Recall& record) { check_items(record.items); }

void read_rest(Reader&, Returned& record) { check_items(record.items); }

void read_rest(Reader&, Subtask& record) {
  if (record.stride != 0 && record.stride != record.item.size())
    throw DecodeError("a subtask with arguments of " + std::to_string(record.item.size()) + " bytes, where " +
                      std::to_string(record.stride) + " are announced");
}

void read_rest(Reader&, End& record) {
  if (record.ending > Ending::failed) throw DecodeError("an ending of kind " + std::to_string(static_cast<std::uint64_t>(record.ending)));
}

void read_rest(Reader&, Results& record) {
  check_items(record.first, record.count, "results");
  constexpr std::size_t least = sizeof(std::int64_t) + sizeof(std::uint64_t);
  if (record.count > record.items.size() / least)
    throw DecodeError("results of " + std::to_string(record.count) + " items of call " + std::to_string(record.call) + " in " +
                      std::to_string(record.items.size()) + " bytes");
}

void read_rest(Reader& in, Failure& failure) {
  if (failure.kind > FailureKind::team_broken)
    throw DecodeError("a failure of kind " + std::to_string(static_cast<unsigned>(failure.kind)));
  if (failure.kind != FailureKind::crashed) return;
  read_field(in, failure.signal);
  read_field(in, failure.exit_status);
  read_field(in, failure.peak_memory);
}

template <class R>
R read_record(Reader& in) {
  R record;
  std::apply([&](auto... field) { (read_field(in, record.*field), ...); }, fields<R>);
  read_rest(in, record);
  return record;
}

template <std::size_t... I>
constexpr auto make_readers(std::index_sequence<I...>) {
  return std::array<Record (*)(Reader&), sizeof...(I)>{
      [](Reader& in) -> Record { return read_record<std::tuple_element_t<I, Kinds>>(in); }...};
}

// The fixed fields of Results, written when its last item is known.
struct ResultsHeader {
  std::uint64_t kind = kind_of<Results>;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t started = 0;
  std::uint64_t size = 0;
};

}  // namespace

void write(Writer& out, const Batch& record) { write_record(out, record); }
void write(Writer& out, const CallableState& record) { write_record(out, record); }
void write(Writer& out, const Stop& record) { write_record(out, record); }
void write(Writer& out, const SubtaskResult& record) { write_record(out, record); }
void write(Writer& out, const Recall& record) { write_record(out, record); }
void write(Writer& out, const DropCallable& record) { write_record(out, record); }
void write(Writer& out, const Forward& record) { write_record(out, record); }
void write(Writer& out, const Delivery& record) { write_record(out, record); }
void write(Writer& out, const Join& record) { write_record(out, record); }
void write(Writer& out, const Assemble& record) { write_record(out, record); }
void write(Writer& out, const Disband& record) { write_record(out, record); }
void write(Writer& out, const Lost& record) { write_record(out, record); }
void write(Writer& out, const Returned& record) { write_record(out, record); }
void write(Writer& out, const Subtask& record) { write_record(out, record); }
void write(Writer& out, const Suspended& record) { write_record(out, record); }
void write(Writer& out, const Overdue& record) { write_record(out, record); }
void write(Writer& out, const TeamReady& record) { write_record(out, record); }
void write(Writer& out, const Memory& record) { write_record(out, record); }
void write(Writer& out, const Published& record) { write_record(out, record); }
void write(Writer& out, const Printed& record) { write_record(out, record); }
void write(Writer& out, const End& record) { write_record(out, record); }
void write(Writer& out, const Bye& record) { write_record(out, record); }
void write(Writer& out, const Failure& failure) { write_fields(out, failure); }

Record read(Reader& in) {
  static constexpr auto readers = make_readers(std::make_index_sequence<std::tuple_size_v<Kinds>>());
  const auto kind = in.value<std::uint64_t>();
  if (kind == 0 || kind > readers.size()) throw DecodeError("a record of unknown kind " + std::to_string(kind));
  return readers[kind - 1](in);
}

Failure read_failure(Reader& in) { return read_record<Failure>(in); }

void ResultsWriter::add(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
                        std::span<const std::byte> value) {
  if (!open_ || call != call_ || item != next_) {
    open_ = true;
    call_ = call;
    next_ = item;
    count_ = 0;
    header_ = out_->bytes.size();
    ResultsHeader header;
    header.call = call;
    header.first = item;
    header.started = started;
    out_->value(header);
  }
  ++count_;
  ++next_;
  out_->value(completed);
  out_->value((static_cast<std::uint64_t>(value.size()) << 1U) | static_cast<std::uint64_t>(failed));
  out_->raw(value.data(), value.size());

  const std::uint64_t size = out_->bytes.size() - header_ - sizeof(ResultsHeader);
  std::byte* const header = out_->bytes.data() + header_;
  std::memcpy(header + offsetof(ResultsHeader, count), &count_, sizeof(count_));
  std::memcpy(header + offsetof(ResultsHeader, size), &size, sizeof(size));
}

}  // namespace rankview::wire
