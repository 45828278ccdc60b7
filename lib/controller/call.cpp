// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "engine/type_name.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/detail/results.hpp>
#include <rankview/errors.hpp>
#include <rankview/targets.hpp>

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>

// The part of a call that templates reach: making it, waiting for it, and asking what is known of it.
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

void Flags::add(Flags more) {
  const auto take = [](auto& flag, auto& given) {
    if (given.given()) flag = std::move(given);
  };
  take(chunksize, more.chunksize);
  take(ordered, more.ordered);
  take(retries, more.retries);
  take(timeout, more.timeout);
  take(queue_timeout, more.queue_timeout);
  take(priority, more.priority);
  take(label, more.label);
  take(after, more.after);
  take(follow, more.follow);
  take(targets, more.targets);
  take(depend, more.depend);
  take(hwm, more.hwm);
  take(policy, more.policy);
}

namespace detail {
namespace {

// So many items may wait on rank 0 while a range is still being read.
constexpr std::uint64_t read_ahead = 64 * 1024;

Metadata::Time time_point(std::int64_t nanoseconds) {
  return Metadata::Time(std::chrono::duration_cast<Metadata::Time::duration>(std::chrono::nanoseconds(nanoseconds)));
}

Seconds seconds(std::int64_t nanoseconds) { return std::chrono::nanoseconds(nanoseconds); }

bool item_ended(const Call& call, std::uint64_t item) {
  return call.items[item].status != Status::waiting && call.items[item].status != Status::handed_out;
}

}  // namespace

std::span<const std::byte> ArgumentBlock::items(std::uint64_t begin, std::uint64_t end) const {
  const auto offset = [this](std::uint64_t item) -> std::size_t {
    const std::uint64_t index = item - first;
    if (index == count) return data.bytes.size();
    return stride != 0 ? index * stride : offsets[index];
  };
  return data.bytes.bytes().subspan(offset(begin), offset(end) - offset(begin));
}

Call::Call() = default;

Call::~Call() = default;

std::byte* Call::room(std::uint64_t) { return nullptr; }

// ---- submission --------------------------------------------------------------------------------------------------------------

Submission::Submission(std::shared_ptr<Call> call, std::optional<std::uint64_t> expected) : call_(std::move(call)), expected_(expected) {}

Submission::~Submission() {
  if (begun_ && !finished_) call_->controller->cancel(*call_);
}

void Submission::set_size() {
  const std::uint64_t size = block_.data.bytes.size() - item_.bytes - sizeof(size);
  std::memcpy(block_.data.bytes.data() + item_.bytes, &size, sizeof(size));
  block_.offsets.push_back(item_.bytes);
}

// The last item has attachments: it goes into a block of its own.
void Submission::isolate() {
  if (block_.count > 1) {
    ArgumentBlock alone;
    alone.stride = block_.stride;
    alone.count = 1;
    if (alone.stride == 0) {
      alone.offsets.push_back(0);
      block_.offsets.pop_back();
    }
    Writer& from = block_.data;
    alone.data.bytes.append(from.bytes.data() + item_.bytes, from.bytes.size() - item_.bytes);
    alone.data.attachments = std::move(from.attachments);
    alone.data.kept = std::move(from.kept);
    from.rewind({item_.bytes, 0, 0});
    --block_.count;
    hand_over();
    block_ = std::move(alone);
  }
  hand_over();
}

void Submission::hand_over() {
  if (!begun_) call_->controller->begin(call_, expected_);
  begun_ = true;
  block_.data.bytes.shrink_to_fit();
  call_->controller->extend(*call_, std::exchange(block_, {}));
  handed_over_ = true;
}

void Submission::wait_for_engines() {
  Controller& controller = *call_->controller;
  controller.drive({}, [&] { return controller.waiting() <= read_ahead || !(call_->balanced && call_->chunk_size == 1); });
}

void Submission::finish(bool unattended) {
  if (!begun_) {
    call_->controller->submit(call_, std::move(block_), unattended);
    return;
  }
  if (block_.count != 0) hand_over();
  finished_ = true;
  call_->controller->seal(*call_, unattended);
}

void begin_only_item(ArgumentBlock& block, std::size_t stride) {
  block.stride = stride;
  if (stride == 0) block.data.value(std::uint64_t{0});
}

void end_only_item(ArgumentBlock& block) {
  if (block.stride != 0) return;
  const std::uint64_t size = block.data.bytes.size() - sizeof(size);
  std::memcpy(block.data.bytes.data(), &size, sizeof(size));
  block.offsets = {0};
}

void submit_empty(const std::shared_ptr<Call>& call, bool unattended) {
  ArgumentBlock block;
  block.count = 1;
  call->controller->submit(call, std::move(block), unattended);
}

// ---- what few calls have -----------------------------------------------------------------------------------------------------

void set_label(Call& call, const std::string& label) {
  if (!label.empty()) call.more.edit().label = label;
}

void set_teams(Call& call, const std::vector<std::vector<int>>& teams) { call.more.edit().teams = teams; }

void add_feed(Call& call, const std::shared_ptr<CompletionFeed>& feed, std::uint64_t first) {
  call.more.edit().feeds.push_back({feed, first});
}

void defer(Call& call, const Dependency& arguments, std::function<void(ArgumentBlock&, Origins*)> encode) {
  Deferred& deferred = call.more.edit().deferred;
  deferred.arguments = arguments;
  deferred.encode = std::move(encode);
}

// ---- terms -------------------------------------------------------------------------------------------------------------------

namespace {

void check_not_negative(double value, const char* flag) {
  if (value < 0) throw UsageError(std::string(flag) + " cannot be negative, and is " + std::to_string(value));
}

std::int64_t nanoseconds(Seconds time) {
  // Beyond what can be counted is for ever.
  constexpr double most = 1e18;
  return time.count() * 1e9 > most ? 0 : std::max<std::int64_t>(time.count() > 0 ? 1 : 0, std::llround(time.count() * 1e9));
}

}  // namespace

void set_balanced_terms(Call& call, const Flags& flags) {
  check_not_negative(flags.retries, "retries");
  check_not_negative(flags.timeout->count(), "timeout");
  check_not_negative(flags.queue_timeout->count(), "queue_timeout");
  check_not_negative(flags.hwm, "hwm");
  Terms terms;
  terms.retries = flags.retries;
  terms.timeout = nanoseconds(flags.timeout);
  terms.queue_timeout = nanoseconds(flags.queue_timeout);
  terms.priority = flags.priority;
  terms.hwm = static_cast<std::uint32_t>(flags.hwm);
  terms.policy = static_cast<std::uint8_t>(flags.policy.value());
  terms.predicate = flags.depend->function();
  if (terms != Terms()) call.terms.edit() = terms;
  call.after = &flags.after.value();
  call.follow = &flags.follow.value();
}

void set_direct_terms(Call& call, const Flags& flags) {
  const Flags none;
  if (flags.retries != 0 || flags.priority != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value() ||
      flags.hwm != 0 || flags.policy != none.policy || flags.chunksize != none.chunksize || !flags.ordered)
    throw UsageError(
        "of the flags, a direct view knows after, queue_timeout, label, and for apply() and map() timeout; the others are for "
        "load-balanced views");
  set_balanced_terms(call, flags);
}

void set_collective_terms(Call& call, const Flags& flags) {
  if (flags.timeout->count() != 0)
    throw UsageError("timeout is not for what engines do together: one that gave up would leave the others waiting for it");
  set_direct_terms(call, flags);
}

void check_team_flags(const Flags& flags) {
  if (flags.retries != 0 || flags.timeout->count() != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value())
    throw UsageError("teams do not know the flags retries, timeout, follow, targets and depend; name targets when making the team_view()");
}

std::vector<int> chosen(const std::vector<int>& view, std::vector<int> engines) {
  for (const int engine : engines) {
    if (std::find(view.begin(), view.end(), engine) == view.end())
      throw UsageError("the targets name engine " + std::to_string(engine) + ", which is none of the view's");
  }
  return engines;
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

bool wait(Call& call, const Deadline& deadline) {
  if (call.done()) return true;
  return call.controller->drive(
      deadline, [&call] { return call.done(); }, call.local);
}

bool wait(Call& call, std::uint64_t item, const Deadline& deadline) {
  if (call.done()) return true;
  return call.controller->drive(
      deadline, [&call, item] { return call.done() || (item < call.items.size() && item_ended(call, item)); }, call.local);
}

std::exception_ptr wait_first_error(Call& call, const Deadline& deadline) {
  std::exception_ptr error;
  const auto ready = [&call, &error] {
    if (!call.errors->empty()) error = call.errors->begin()->second;
    if (call.failure) error = call.failure;
    return error != nullptr || call.done();
  };
  call.controller->drive(deadline, ready, call.local);
  if (error) call.error_seen = true;
  return error;
}

bool poll(Call& call) {
  if (!call.done()) call.controller->try_progress();
  return call.done();
}

QueueStatus queue_status(Controller& controller, const std::vector<int>& engines) {
  controller.try_progress();
  return controller.queue_status(engines);
}

void spin(Controller& controller) { controller.try_progress(); }

// Under the controller's lock, or when the call is done.
bool failed(const Call& call) { return call.failure != nullptr || !call.errors->empty(); }

std::exception_ptr error_of(Call& call, std::uint64_t item) {
  return call.controller->locked([&]() -> std::exception_ptr {
    const auto found = call.errors->find(item);
    const bool aborted = item < call.items.size() && call.items[item].status == Status::aborted;
    if (found == call.errors->end() && call.failure == nullptr && !aborted) return nullptr;
    call.error_seen = true;
    if (found != call.errors->end()) return found->second;
    if (call.failure) return call.failure;
    return std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) +
                                               ": this engine could have taken part in the collective, and another could not"));
  });
}

void rethrow(Call& call) {
  if (!failed(call)) return;
  call.error_seen = true;
  if (call.failure) std::rethrow_exception(call.failure);
  if (!call.multiple && !call.composite) std::rethrow_exception(call.errors->begin()->second);
  std::vector<CompositeError::Failure> failures;
  failures.reserve(call.errors->size());
  for (const auto& [item, error] : *call.errors) failures.push_back({item, error});
  throw CompositeError(std::move(failures), call.items.size());
}

std::exception_ptr error_of(Call& call) {
  try {
    rethrow(call);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

std::shared_ptr<CompletionFeed> subscribe(Call& call) {
  auto feed = std::make_shared<CompletionFeed>();
  call.controller->locked([&] {
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (item_ended(call, item)) feed->ended.push_back(item);
    }
    std::stable_sort(feed->ended.begin(), feed->ended.end(),
                     [&call](std::uint64_t a, std::uint64_t b) { return call.items[a].received < call.items[b].received; });
    call.more.edit().feeds.push_back({feed});
  });
  return feed;
}

std::optional<std::uint64_t> next_ended(Call& call, CompletionFeed& feed, std::uint64_t already_read) {
  std::optional<std::uint64_t> item;
  const auto ready = [&] {
    if (!feed.ended.empty()) {
      item = feed.ended.front();
      feed.ended.pop_front();
    }
    return item || (call.sealed && already_read == call.items.size());
  };
  call.controller->drive({}, ready, call.local);
  return item;
}

namespace {

// Under the controller's lock.
const PublishedValues& published_of(const Call& call, std::uint64_t item) {
  static const PublishedValues none;
  const auto found = call.more->published.find(item);
  return found == call.more->published.end() ? none : found->second;
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

void abort(Call& call) {
  call.error_seen = true;
  call.controller->abort(call);
}

void abort_view(Controller& controller, std::uint64_t view) {
  controller.abort_if([view](const Call& call) { return call.view == view; });
}

std::uint64_t new_view() noexcept {
  static std::atomic<std::uint64_t> views{0};
  return views.fetch_add(1, std::memory_order_relaxed) + 1;
}

void abort_all(Controller& controller) {
  controller.abort_if([](const Call&) { return true; });
}

CallHandle::CallHandle(const std::shared_ptr<Call>& call) : slot_(call->slot) { slot_->handles.store(1, std::memory_order_relaxed); }

void let_go(Call& call) noexcept { call.controller->abandon(call); }

std::string listed(std::span<const std::uint64_t> counts) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(counts.size(), most); ++i) text += (i == 0 ? "" : ", ") + std::to_string(counts[i]);
  return text + (counts.size() > most ? ", ..." : "");
}

void check_lengths(std::span<const std::uint64_t> lengths) {
  if (std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to<>()) == lengths.end()) return;
  throw UsageError("map over ranges of different lengths: " + listed(lengths) +
                   "; those that know their length must have the same, and rv::repeat(x) goes with any");
}

void check_round_robin(const std::string& what, std::span<const std::uint64_t> counts) {
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != part_size(total, counts.size(), i))
      throw UsageError(what + ": parts that were dealt round robin differ by one element at most, the longer ones first; these have " +
                       listed(counts));
  }
}

void throw_nobody() { throw UsageError("the view has no engines: its list of targets is empty, and there is nobody to run this"); }

void throw_late(Call& call, Seconds timeout) {
  throw TimeoutError("after " + std::to_string(timeout.count()) + " s, " + std::to_string(call.ended) + " of " +
                     std::to_string(call.items.size()) + (call.items.size() == 1 ? " task has" : " tasks have") + " ended (call " +
                     std::to_string(call.id) + "); the result can be asked for again");
}

void throw_not_ready(const char* what) { throw UsageError(std::string(what) + " before the result is ready: wait() first"); }

// ---- what is known -----------------------------------------------------------------------------------------------------------

Times times_of(Call& call) {
  return call.controller->locked([&call] {
    Times times{};
    std::int64_t serial = 0;
    for (const ItemRecord& item : call.items) serial += item.completed - item.started;
    times.serial = seconds(serial);
    const std::int64_t last = std::max(call.last_received, call.submitted);
    times.wall = seconds(last - call.submitted);
    times.elapsed = seconds((call.done() ? last : call.controller->now()) - call.submitted);
    return times;
  });
}

void check_item(Call& call, std::uint64_t item) {
  if (item < call.items.size()) return;
  throw std::out_of_range("there is no task " + std::to_string(item) + " in a result of " + std::to_string(call.items.size()) + " tasks");
}

Metadata metadata_of(Call& call, std::uint64_t index) {
  return call.controller->locked([&] {
    check_item(call, index);
    const ItemRecord& item = call.items[index];
    Metadata metadata;
    metadata.task = {call.id, index};
    metadata.label = call.more->label;
    metadata.status = item.status;
    metadata.engine = item.engine;
    if (item.engine >= 0) metadata.host = call.controller->engine(item.engine).host;
    metadata.attempt = item.attempts;
    metadata.submitted = time_point(call.submitted);
    metadata.started = time_point(item.started);
    metadata.completed = time_point(item.completed);
    metadata.received = time_point(item.received);
    if (const auto error = call.errors->find(index); error != call.errors->end()) {
      call.error_seen = true;
      metadata.error = wire::error_text(error->second);
    }
    return metadata;
  });
}

void wait_interactive(Call& call, std::chrono::milliseconds interval) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  for (bool done = false; !done;) {
    done = wait(call, deadline_after(interval));
    const std::size_t total = call.items.size();
    const std::uint64_t ended = call.ended;
    const double elapsed = times_of(call).elapsed.count();
    const double share = total == 0 ? 1.0 : static_cast<double>(ended) / static_cast<double>(total);
    if (terminal) {
      constexpr int width = 40;
      const int filled = static_cast<int>(std::lround(share * width));
      std::fprintf(stderr, "\r[%s%s] %zu/%zu tasks, %.1f s%s", std::string(static_cast<std::size_t>(filled), '#').c_str(),
                   std::string(static_cast<std::size_t>(width - filled), ' ').c_str(), static_cast<std::size_t>(ended), total, elapsed,
                   done ? "\n" : "");
    } else {
      std::fprintf(stderr, "%zu/%zu tasks finished after %.1f s\n", static_cast<std::size_t>(ended), total, elapsed);
    }
    std::fflush(stderr);
  }
}

void report_unseen(Call& call) noexcept {
  if (call.error_seen || !failed(call)) return;
  call.error_seen = true;
  if (call.failure) {
    std::fprintf(stderr, "rankview: call %llu failed, and nobody asked for its result: %s\n", static_cast<unsigned long long>(call.id),
                 wire::error_text(call.failure).c_str());
    return;
  }
  std::fprintf(stderr, "rankview: %zu of %zu tasks of call %llu%s%s failed, and nobody asked for its result; the first error was: %s\n",
               call.errors->size(), call.items.size(), static_cast<unsigned long long>(call.id), call.more->label.empty() ? "" : " ",
               call.more->label.c_str(), wire::error_text(call.errors->begin()->second).c_str());
}

// ---- targets -----------------------------------------------------------------------------------------------------------------

void check_open(const Controller& controller) {
  if (!controller.open()) throw UsageError("the run that this view belongs to has ended");
}

std::vector<int> live_engines(const Controller& controller) {
  std::vector<int> ids(static_cast<std::size_t>(controller.engine_count()));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

int resolve(const Controller& controller, int target) {
  const int count = controller.engine_count();
  const int id = target < 0 ? count + target : target;
  if (id < 0 || id >= count)
    throw std::out_of_range("there is no engine " + std::to_string(target) + ": the live engines are 0 to " + std::to_string(count - 1));
  return id;
}

std::vector<int> resolve(const Controller& controller, const std::vector<int>& targets) {
  std::vector<int> resolved;
  resolved.reserve(targets.size());
  for (const int target : targets) {
    const int id = resolve(controller, target);
    if (std::find(resolved.begin(), resolved.end(), id) != resolved.end())
      throw UsageError("engine " + std::to_string(id) + " is named twice");
    resolved.push_back(id);
  }
  return resolved;
}

}  // namespace detail

std::vector<std::size_t> slice::places(std::size_t size) const {
  if (step_ == 0) throw UsageError("a slice with a step of 0");
  // As Python's slice.indices().
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t lowest = step_ < 0 ? -1 : 0;
  const std::int64_t highest = step_ < 0 ? count - 1 : count;
  const auto place = [&](const std::optional<int>& at, std::int64_t otherwise) {
    if (!at) return otherwise;
    return std::clamp(*at < 0 ? *at + count : *at, lowest, highest);
  };
  const std::int64_t start = place(start_, step_ < 0 ? highest : lowest);
  const std::int64_t stop = place(stop_, step_ < 0 ? lowest : highest);
  std::vector<std::size_t> places;
  for (std::int64_t at = start; step_ < 0 ? at > stop : at < stop; at += step_) places.push_back(static_cast<std::size_t>(at));
  return places;
}

std::vector<int> slice::of(const std::vector<int>& ids) const {
  std::vector<int> chosen;
  for (const std::size_t place : places(ids.size())) chosen.push_back(ids[place]);
  return chosen;
}

}  // namespace rankview
