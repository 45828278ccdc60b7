// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "wire/messages.hpp"

#include <cstddef>
#include <cstring>
#include <string>

namespace rankview::wire {
namespace {

enum class Kind : std::uint64_t {
  batch = 1,
  object,
  forget,
  end,
  results,
  bye,
  join,
  assemble,
  disband,
  at_join,
  memory,
  stop,
  recall,
  returned,
  overdue,
  published,
  answer,
  subtask,
  suspended,
  forward,
  delivery,
  lost
};

void write_text(Writer& out, const std::string& text) {
  out.value(static_cast<std::uint64_t>(text.size()));
  out.raw(text.data(), text.size());
}

std::string read_text(Reader& in) {
  const std::size_t size = in.count(1);
  return {reinterpret_cast<const char*>(in.skip(size)), size};
}

void write_bytes(Writer& out, std::span<const std::byte> bytes) {
  out.value(static_cast<std::uint64_t>(bytes.size()));
  out.raw(bytes.data(), bytes.size());
}

void write_items(Writer& out, const std::vector<Items>& items) {
  out.value(static_cast<std::uint64_t>(items.size()));
  out.raw(items.data(), items.size() * sizeof(Items));
}

void write_ids(Writer& out, const std::vector<std::int32_t>& ids) {
  out.value(static_cast<std::uint64_t>(ids.size()));
  out.raw(ids.data(), ids.size() * sizeof(std::int32_t));
}

void read_ids(Reader& in, std::vector<std::int32_t>& ids) {
  ids.resize(in.count(sizeof(std::int32_t)));
  in.raw(ids.data(), ids.size() * sizeof(std::int32_t));
}

std::span<const std::byte> read_bytes(Reader& in) { return in.take(in.count(1)); }

// The fixed fields of Results, written when its last item is known.
struct ResultsHeader {
  Kind kind = Kind::results;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t started = 0;
  std::uint64_t size = 0;
};

void check_items(std::uint64_t first, std::uint64_t count, const char* record) {
  if (count == 0 || first + count < first)
    throw DecodeError(std::string(record) + " of " + std::to_string(count) + " items from item " + std::to_string(first));
}

// What a batch says with yes or no, a bit each.
constexpr bool Batch::*batch_flags[] = {&Batch::has_object, &Batch::communicator, &Batch::first_only, &Batch::flat,     &Batch::movable,
                                        &Batch::slow,       &Batch::keep,         &Batch::awaits,     &Batch::isolated, &Batch::forked};

std::uint64_t flags_of(const Batch& record) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) bits |= std::uint64_t{record.*batch_flags[i]} << i;
  return bits;
}

void read_flags(std::uint64_t bits, Batch& record) {
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) record.*batch_flags[i] = (bits >> i & 1) != 0;
  if (bits >> std::size(batch_flags) != 0) throw DecodeError("a batch with flags that there are not: " + std::to_string(bits));
}

Batch read_batch(Reader& in) {
  Batch record;
  record.thunk = in.value<CodeAddress>();
  record.function = in.value<CodeAddress>();
  record.call = in.value<std::uint64_t>();
  record.first = in.value<std::uint64_t>();
  record.count = in.value<std::uint64_t>();
  record.stride = in.value<std::uint64_t>();
  record.team = in.value<std::uint64_t>();
  record.votes = in.value<std::uint64_t>();
  record.predicate = in.value<CodeAddress>();
  record.timeout = in.value<std::int64_t>();
  read_flags(in.value<std::uint64_t>(), record);
  if (record.awaits) {
    record.first_ticket = in.value<std::uint64_t>();
    read_ids(in, record.holders);
  }
  if (record.isolated) record.memory_limit = in.value<std::uint64_t>();
  record.items = read_bytes(in);
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
  return record;
}

Object read_object(Reader& in) {
  Object record;
  record.call = in.value<std::uint64_t>();
  record.state = read_bytes(in);
  return record;
}

Join read_join(Reader& in) {
  Join record;
  record.team = in.value<std::uint64_t>();
  read_ids(in, record.engines);
  if (record.engines.empty()) throw DecodeError("team " + std::to_string(record.team) + " has no engines");
  return record;
}

Stop read_stop(Reader& in) {
  Stop record;
  record.call = in.value<std::uint64_t>();
  record.first = in.value<std::uint64_t>();
  record.count = in.value<std::uint64_t>();
  check_items(record.first, record.count, "a stop");
  return record;
}

std::vector<Items> read_items(Reader& in) {
  std::vector<Items> items(in.count(sizeof(Items)));
  in.raw(items.data(), items.size() * sizeof(Items));
  for (const Items& some : items) check_items(some.first, some.count, "a recall");
  return items;
}

Memory read_memory(Reader& in) {
  Memory record;
  record.variables = in.value<std::uint64_t>();
  record.bytes = in.value<std::uint64_t>();
  return record;
}

Published read_published(Reader& in) {
  Published record;
  record.call = in.value<std::uint64_t>();
  record.item = in.value<std::uint64_t>();
  record.name = read_text(in);
  record.type = read_text(in);
  record.value = read_bytes(in);
  return record;
}

Forward read_forward(Reader& in) {
  Forward record;
  record.call = in.value<std::uint64_t>();
  record.ticket = in.value<std::uint64_t>();
  record.to = in.value<std::uint64_t>();
  return record;
}

Delivery read_delivery(Reader& in) {
  Delivery record;
  record.ticket = in.value<std::uint64_t>();
  record.found = in.value<std::uint64_t>();
  record.value = read_bytes(in);
  return record;
}

Answer read_answer(Reader& in) {
  Answer record;
  record.ticket = in.value<std::uint64_t>();
  record.failed = in.value<std::uint64_t>();
  record.value = read_bytes(in);
  return record;
}

Subtask read_subtask(Reader& in) {
  Subtask record;
  record.ticket = in.value<std::uint64_t>();
  record.thunk = in.value<CodeAddress>();
  record.function = in.value<CodeAddress>();
  record.parent_call = in.value<std::uint64_t>();
  record.parent_item = in.value<std::uint64_t>();
  record.stride = in.value<std::uint64_t>();
  record.object = read_bytes(in);
  record.item = read_bytes(in);
  if (record.stride != 0 && record.stride != record.item.size())
    throw DecodeError("a subtask with arguments of " + std::to_string(record.item.size()) + " bytes, where " +
                      std::to_string(record.stride) + " are announced");
  return record;
}

End read_end(Reader& in) {
  End record;
  const auto ending = in.value<std::uint64_t>();
  if (ending > static_cast<std::uint64_t>(Ending::failed)) throw DecodeError("an ending of kind " + std::to_string(ending));
  record.ending = static_cast<Ending>(ending);
  record.exit_code = in.value<std::int64_t>();
  record.reason = read_text(in);
  record.losses = in.value<std::uint64_t>();
  return record;
}

Results read_results(Reader& in) {
  Results record;
  record.call = in.value<std::uint64_t>();
  record.first = in.value<std::uint64_t>();
  record.count = in.value<std::uint64_t>();
  record.started = in.value<std::int64_t>();
  record.items = read_bytes(in);
  check_items(record.first, record.count, "results");
  constexpr std::size_t least = sizeof(std::int64_t) + sizeof(std::uint64_t);
  if (record.count > record.items.size() / least)
    throw DecodeError("results of " + std::to_string(record.count) + " items of call " + std::to_string(record.call) + " in " +
                      std::to_string(record.items.size()) + " bytes");
  return record;
}

}  // namespace

void write(Writer& out, const Batch& record) {
  out.value(Kind::batch);
  out.value(record.thunk);
  out.value(record.function);
  out.value(record.call);
  out.value(record.first);
  out.value(record.count);
  out.value(record.stride);
  out.value(record.team);
  out.value(record.votes);
  out.value(record.predicate);
  out.value(record.timeout);
  out.value(flags_of(record));
  if (record.awaits) {
    out.value(record.first_ticket);
    write_ids(out, record.holders);
  }
  if (record.isolated) out.value(record.memory_limit);
  write_bytes(out, record.items);
}

void write(Writer& out, const Object& record) {
  out.value(Kind::object);
  out.value(record.call);
  write_bytes(out, record.state);
}

void write(Writer& out, const Stop& record) {
  out.value(Kind::stop);
  out.value(record.call);
  out.value(record.first);
  out.value(record.count);
}

void write(Writer& out, const Recall& record) {
  out.value(Kind::recall);
  write_items(out, record.items);
}

void write(Writer& out, const Returned& record) {
  out.value(Kind::returned);
  write_items(out, record.items);
}

void write(Writer& out, const Overdue& record) {
  out.value(Kind::overdue);
  out.value(record.call);
  out.value(record.item);
}

void write(Writer& out, const Forget& record) {
  out.value(Kind::forget);
  out.value(record.call);
}

void write(Writer& out, const Forward& record) {
  out.value(Kind::forward);
  out.value(record.call);
  out.value(record.ticket);
  out.value(record.to);
}

void write(Writer& out, const Delivery& record) {
  out.value(Kind::delivery);
  out.value(record.ticket);
  out.value(record.found);
  write_bytes(out, record.value);
}

void write(Writer& out, const Join& record) {
  out.value(Kind::join);
  out.value(record.team);
  out.value(static_cast<std::uint64_t>(record.engines.size()));
  out.raw(record.engines.data(), record.engines.size() * sizeof(std::int32_t));
}

void write(Writer& out, const Assemble& record) {
  out.value(Kind::assemble);
  out.value(record.team);
}

void write(Writer& out, const Lost& record) {
  out.value(Kind::lost);
  out.value(record.engine);
}

void write(Writer& out, const Disband& record) {
  out.value(Kind::disband);
  out.value(record.team);
}

void write(Writer& out, const AtJoin& record) {
  out.value(Kind::at_join);
  out.value(record.team);
}

void write(Writer& out, const Memory& record) {
  out.value(Kind::memory);
  out.value(record.variables);
  out.value(record.bytes);
}

void write(Writer& out, const Published& record) {
  out.value(Kind::published);
  out.value(record.call);
  out.value(record.item);
  write_text(out, record.name);
  write_text(out, record.type);
  write_bytes(out, record.value);
}

void write(Writer& out, const Answer& record) {
  out.value(Kind::answer);
  out.value(record.ticket);
  out.value(record.failed);
  write_bytes(out, record.value);
}

void write(Writer& out, const Subtask& record) {
  out.value(Kind::subtask);
  out.value(record.ticket);
  out.value(record.thunk);
  out.value(record.function);
  out.value(record.parent_call);
  out.value(record.parent_item);
  out.value(record.stride);
  write_bytes(out, record.object);
  write_bytes(out, record.item);
}

void write(Writer& out, const Suspended& record) {
  out.value(Kind::suspended);
  out.value(record.items);
}

void write(Writer& out, const End& record) {
  out.value(Kind::end);
  out.value(record.ending);
  out.value(record.exit_code);
  write_text(out, record.reason);
  out.value(record.losses);
}

void write(Writer& out, const Bye&) { out.value(Kind::bye); }

Record read(Reader& in) {
  const auto kind = in.value<std::uint64_t>();
  switch (static_cast<Kind>(kind)) {
    case Kind::batch:
      return read_batch(in);
    case Kind::object:
      return read_object(in);
    case Kind::forget:
      return Forget{in.value<std::uint64_t>()};
    case Kind::end:
      return read_end(in);
    case Kind::results:
      return read_results(in);
    case Kind::bye:
      return Bye{};
    case Kind::join:
      return read_join(in);
    case Kind::assemble:
      return Assemble{in.value<std::uint64_t>()};
    case Kind::disband:
      return Disband{in.value<std::uint64_t>()};
    case Kind::lost:
      return Lost{in.value<std::int64_t>()};
    case Kind::at_join:
      return AtJoin{in.value<std::uint64_t>()};
    case Kind::memory:
      return read_memory(in);
    case Kind::stop:
      return read_stop(in);
    case Kind::recall:
      return Recall{read_items(in)};
    case Kind::returned:
      return Returned{read_items(in)};
    case Kind::overdue: {
      const auto call = in.value<std::uint64_t>();
      return Overdue{call, in.value<std::uint64_t>()};
    }
    case Kind::answer:
      return read_answer(in);
    case Kind::subtask:
      return read_subtask(in);
    case Kind::suspended:
      return Suspended{in.value<std::uint64_t>()};
    case Kind::published:
      return read_published(in);
    case Kind::forward:
      return read_forward(in);
    case Kind::delivery:
      return read_delivery(in);
  }
  throw DecodeError("a record of unknown kind " + std::to_string(kind));
}

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

void write(Writer& out, const Failure& failure) {
  out.value(failure.kind);
  write_text(out, failure.type_name);
  write_text(out, failure.message);
  if (failure.kind != FailureKind::crashed) return;
  out.value(failure.signal);
  out.value(failure.exit_status);
  out.value(failure.peak_memory);
}

Failure read_failure(Reader& in) {
  Failure failure;
  const auto kind = in.value<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(FailureKind::team_broken)) throw DecodeError("a failure of kind " + std::to_string(kind));
  failure.kind = static_cast<FailureKind>(kind);
  failure.type_name = read_text(in);
  failure.message = read_text(in);
  if (failure.kind == FailureKind::crashed) {
    failure.signal = in.value<std::int32_t>();
    failure.exit_status = in.value<std::int32_t>();
    failure.peak_memory = in.value<std::uint64_t>();
  }
  return failure;
}

}  // namespace rankview::wire
