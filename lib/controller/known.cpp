// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "engine/type_name.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace rankview::inline abi_0_1 {

const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::waiting:
      return "waiting";
    case Status::handed_out:
      return "handed out";
    case Status::completed:
      return "completed";
    case Status::failed:
      return "failed";
    case Status::aborted:
      return "aborted";
  }
  return "unknown";
}

}  // namespace rankview

// What is known of a call: how its items ended, when, and what they have published.
namespace rankview::inline abi_0_1::detail {
namespace {

Metadata::Time time_point(std::int64_t nanoseconds) {
  return Metadata::Time(std::chrono::duration_cast<Metadata::Time::duration>(std::chrono::nanoseconds(nanoseconds)));
}

Seconds seconds(std::int64_t nanoseconds) { return std::chrono::nanoseconds(nanoseconds); }

}  // namespace

// Under the controller's lock, or when the call is done.
bool failed(const Call& call) { return call.life().failure != nullptr || !call.life().errors->empty(); }

std::exception_ptr error_of(Call& call, std::uint64_t item) {
  return call.controller->locked([&]() -> std::exception_ptr {
    const auto found = call.life().errors->find(item);
    const bool aborted = item < call.life().items.size() && call.life().items[item].status == Status::aborted;
    if (found == call.life().errors->end() && call.life().failure == nullptr && !aborted) return nullptr;
    call.life().error_seen = true;
    if (found != call.life().errors->end()) return found->second;
    if (call.life().failure) return call.life().failure;
    return std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) +
                                               ": this engine could have taken part in the collective, and another could not"));
  });
}

namespace {

// Of a call some of whose items the run did not come to, what became of others.
std::string failures_beside(const Call& call) {
  const std::size_t failures = call.life().errors->size() - call.life().more->given_back;
  if (failures == 0) return "";
  for (const auto& [item, error] : *call.life().errors) {
    if (call.life().items[item].status == Status::failed)
      return "; besides, " + std::to_string(failures) + " have failed, the first with: " + text_of(call, error);
  }
  return "";
}

}  // namespace

void rethrow(Call& call) {
  if (!failed(call)) return;
  call.life().error_seen = true;
  if (call.life().failure) std::rethrow_exception(call.life().failure);
  if (call.multiple && call.life().more->given_back != 0)
    throw Draining("the run drains, and " + std::to_string(call.life().more->given_back) + " of " +
                   std::to_string(call.life().items.size()) + " tasks are left to a later run" + failures_beside(call));
  if (!call.multiple && !call.composite) std::rethrow_exception(call.life().errors->begin()->second);
  std::vector<CompositeError::Failure> failures;
  failures.reserve(call.life().errors->size());
  for (const auto& [item, error] : *call.life().errors) failures.push_back({item, error});
  throw CompositeError(std::move(failures), call.life().items.size());
}

std::exception_ptr error_of(Call& call) {
  try {
    rethrow(call);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

DoneAndPending done_and_pending(Call& call) {
  return call.controller->locked([&call] {
    DoneAndPending tasks;
    for (std::size_t item = 0; item < call.life().items.size(); ++item)
      (has_ended(call.life().items[item].status) ? tasks.done : tasks.pending).push_back(item);
    return tasks;
  });
}

Times times_of(Call& call) {
  return call.controller->locked([&call] {
    Times times{};
    std::int64_t serial = 0;
    for (const ItemRecord& item : call.life().items) serial += item.completed - item.started;
    times.serial = seconds(serial);
    const std::int64_t last = std::max(call.life().last_received, call.life().submitted);
    times.wall = seconds(last - call.life().submitted);
    times.elapsed = seconds((call.life().done() ? last : call.controller->now()) - call.life().submitted);
    return times;
  });
}

void check_item(Call& call, std::uint64_t item) {
  if (item < call.life().items.size()) return;
  throw std::out_of_range("there is no task " + std::to_string(item) + " in a result of " + std::to_string(call.life().items.size()) +
                          " tasks");
}

namespace {

void add_printed(const Call& call, std::uint64_t item, Metadata& metadata) {
  const auto printed = call.life().more->printed->find(item);
  if (printed == call.life().more->printed->end() || printed->second.attempt != call.life().items[item].attempts) return;
  for (const auto& [engine, texts] : printed->second.engines) {
    metadata.stdout_text += texts.out;
    metadata.stderr_text += texts.err;
  }
}

}  // namespace

Metadata metadata_of(Call& call, std::uint64_t index) {
  return call.controller->locked([&] {
    check_item(call, index);
    const ItemRecord& item = call.life().items[index];
    Metadata metadata;
    metadata.task = {call.id, index};
    metadata.label = call.life().more->label;
    metadata.status = item.status;
    metadata.engine = item.engine;
    if (item.engine >= 0) metadata.host = call.controller->engine(item.engine).host;
    metadata.attempt = item.attempts;
    metadata.submitted = time_point(call.life().submitted);
    metadata.started = time_point(item.started);
    metadata.completed = time_point(item.completed);
    metadata.received = time_point(item.received);
    if (const auto error = call.life().errors->find(index); error != call.life().errors->end()) {
      call.life().error_seen = true;
      metadata.error = text_of(call, error->second);
    }
    add_printed(call, index, metadata);
    return metadata;
  });
}

namespace {

// Under the controller's lock.
const PublishedValues& published_of(const Call& call, std::uint64_t item) {
  static const PublishedValues none;
  const auto found = call.life().more->published->find(item);
  return found == call.life().more->published->end() ? none : found->second;
}

}  // namespace

std::shared_ptr<const PublishedValue> published(Call& call, std::uint64_t item, std::string_view name, const std::type_info& type) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] {
    const PublishedValues& values = published_of(call, item);
    const auto found = values.find(name);
    if (found == values.end()) {
      std::string known;
      for (const auto& entry : values) known += (known.empty() ? "" : ", ") + entry.first;
      throw NameError("task " + to_string(TaskId{call.id, item}) + " has not published \"" + std::string(name) + "\" by now, but " +
                      (known.empty() ? "nothing" : known));
    }
    if (found->second->type != type.name())
      throw TypeError("what task " + to_string(TaskId{call.id, item}) + " has published as \"" + std::string(name) + "\" is a " +
                      engine::type_name(found->second->type.c_str()) + ", not a " + engine::type_name(type));
    return found->second;
  });
}

bool has_published(Call& call, std::uint64_t item, std::string_view name) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] { return published_of(call, item).contains(name); });
}

std::vector<VariableInfo> list_published(Call& call, std::uint64_t item) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] {
    std::vector<VariableInfo> all;
    for (const auto& [name, value] : published_of(call, item))
      all.push_back({name, engine::type_name(value->type.c_str()), value->bytes.size()});
    return all;
  });
}

void note_error_seen(Call& call) noexcept { call.life().error_seen = true; }

void report_unseen(Call& call) noexcept {
  if (call.life().error_seen || !failed(call)) return;
  call.life().error_seen = true;
  if (call.life().failure) {
    std::fprintf(stderr, "rankview: call %llu failed, and nobody asked for its result: %s\n", static_cast<unsigned long long>(call.id),
                 text_of(call, call.life().failure).c_str());
    return;
  }
  std::fprintf(stderr, "rankview: %zu of %zu tasks of call %llu%s%s failed, and nobody asked for its result; the first error was: %s\n",
               call.life().errors->size(), call.life().items.size(), static_cast<unsigned long long>(call.id),
               call.life().more->label.empty() ? "" : " ", call.life().more->label.c_str(),
               text_of(call, call.life().errors->begin()->second).c_str());
}

}  // namespace rankview::detail
