// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <variant>

// What comes from the engines: results are put in place, and calls end.
namespace rankview::inline abi_0_1::detail {

void Controller::on_frame(transport::Frame& frame) {
  try {
    Reader in(frame.records);
    while (!in.done()) {
      const wire::Record record = wire::read(in);
      if (const auto* results = std::get_if<wire::Results>(&record)) {
        on_results(frame, *results);
      } else if (const auto* at_join = std::get_if<wire::AtJoin>(&record)) {
        teams_.on_join(at_join->team, frame.peer - 1);
      } else if (const auto* memory = std::get_if<wire::Memory>(&record)) {
        account(frame.peer - 1).memory = *memory;
      } else if (const auto* returned = std::get_if<wire::Returned>(&record)) {
        on_returned(frame.peer - 1, *returned);
      } else if (const auto* overdue = std::get_if<wire::Overdue>(&record)) {
        on_overdue(frame.peer - 1, *overdue);
      } else if (const auto* subtask = std::get_if<wire::Subtask>(&record)) {
        on_subtask(frame.peer - 1, *subtask);
      } else if (const auto* suspended = std::get_if<wire::Suspended>(&record)) {
        scheduler_.suspended(frame.peer - 1, suspended->items);
      } else if (const auto* published = std::get_if<wire::Published>(&record)) {
        on_published(*published);
      } else if (std::holds_alternative<wire::Bye>(record)) {
        ++goodbyes_;
      } else {
        throw DecodeError("a record that only the controller sends");
      }
    }
  } catch (const DecodeError& error) {
    // Without it some task would never end, and its client wait for ever.
    transport::end_process(
        1, "rank 0 received a message from rank " + std::to_string(frame.peer) + " that it cannot read: " + wire::error_text(error));
  }
}

void Controller::on_results(transport::Frame& frame, const wire::Results& results) {
  const int engine = frame.peer - 1;
  Call* const call = find(results.call);
  if (late_.empty() && (call == nullptr || results.first + results.count > call->items.size()))
    throw DecodeError("results for items that nobody asked for, of call " + std::to_string(results.call));
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  std::vector<std::uint64_t> repeated;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    const std::int64_t began = std::exchange(started, result.completed);
    if (!late_.empty() && was_late(engine, results.call, item)) continue;
    if (call == nullptr || item >= call->items.size())
      throw DecodeError("a result of task " + to_string(TaskId{results.call, item}) + ", which nobody asked for");
    ItemRecord& record = call->items[item];
    if (record.status != Status::handed_out) throw DecodeError("a second result of task " + to_string(TaskId{call->id, item}));
    if (record.engine == engine) {
      record.started = began;
      record.completed = result.completed;
      record.received = received;
    }
    if (result.failed) {
      if (fail_item(*call, item, engine, result.value)) repeated.push_back(item);
    } else if (record.engine == engine) {
      load(frame, *call, item, result.value);
    } else {
      finish_item(*call, item, Status::completed, nullptr);
    }
  }
  scheduler_.finished(engine, results.call, results.first, results.first + results.count, started - results.started);
  if (call == nullptr) return;
  call->last_received = received;
  // Only now is the engine free of them.
  for (const std::uint64_t item : repeated) resubmit(*call, item);
  if (call->done()) end_call(*call);
}

// An engine says that an item failed there. Whether it is to be run again.
bool Controller::fail_item(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value) {
  Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  switch (failure.kind) {
    case wire::FailureKind::stood_back:
      ++account(engine).failed;
      finish_item(call, item, Status::aborted, nullptr);
      return false;
    case wire::FailureKind::stopped:
      finish_item(call, item, Status::aborted,
                  std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) + ": aborted before it ran")));
      return false;
    case wire::FailureKind::refused:
      refused(call, item, engine);
      return true;
    case wire::FailureKind::gone:
      arguments_gone(call, item);
      return true;
    default:
      break;
  }
  auto error = remote_error(call, item, engine, failure, {});
  if (again(call, item, engine, error)) return true;
  if (const auto attempts = call.more->attempts.find(item); attempts != call.more->attempts.end())
    error = remote_error(call, item, engine, failure, attempts->second.errors);
  if (call.communicator) note_desertion(call, item, error);
  finish_item(call, item, Status::failed, std::move(error));
  return false;
}

// Of a call that is over, or that nobody can ask any more, it is dropped.
void Controller::on_published(const wire::Published& published) {
  Call* const call = find(published.call);
  if (call == nullptr || call->abandoned) return;
  if (published.item >= call->items.size())
    throw DecodeError("a value of task " + to_string(TaskId{published.call, published.item}) + ", which there is not");
  call->more.edit().published[published.item][published.name] =
      std::make_shared<const PublishedValue>(PublishedValue{published.type, {published.value.begin(), published.value.end()}});
}

void Controller::load(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value) {
  const bool attached = !frame.attachment_sizes.empty();
  Claims claims(frame.attachment_sizes);
  std::exception_ptr error;
  const auto unreadable = [&](const std::string& why) {
    error = std::make_exception_ptr(DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " from engine " +
                                                std::to_string(call.items[item].engine) + " cannot be read: " + why));
  };
  if (!call.abandoned) {
    try {
      Reader in(value, &claims);
      call.load(item, in);
    } catch (...) {
      unreadable(wire::error_text(caught()));
    }
  }
  if (!attached) {
    const Status status = error ? Status::failed : Status::completed;
    finish_item(call, item, status, std::move(error));
    return;
  }
  const bool wanted = error == nullptr && claims.places().size() == frame.attachment_sizes.size();
  auto transfer = endpoint_.receive(frame, wanted ? claims.places() : std::vector<Claims::Place>());
  landing_.push_back({std::move(transfer), call.self, item, error});
}

// Whether results of the call are being written into their places.
bool Controller::landing(const Call& call) const {
  return std::any_of(landing_.begin(), landing_.end(), [&call](const Landing& l) { return l.call.get() == &call; });
}

bool Controller::land() {
  bool any = false;
  for (std::size_t i = 0; i < landing_.size();) {
    if (!landing_[i].transfer->done()) {
      ++i;
      continue;
    }
    Landing landed = std::move(landing_[i]);
    landing_.erase(landing_.begin() + static_cast<std::ptrdiff_t>(i));
    landed.call->items[landed.item].received = now();
    landed.call->last_received = landed.call->items[landed.item].received;
    if (landed.call->keeps && !landed.error) landed.call->kept_on = landed.call->items[landed.item].engine;
    finish_item(*landed.call, landed.item, landed.error ? Status::failed : Status::completed, landed.error);
    if (landed.call->abandoned && !landing(*landed.call)) landed.call->discard();
    if (landed.call->done()) end_call(*landed.call);
    any = true;
  }
  return any;
}

std::exception_ptr Controller::remote_error(const Call& call, std::uint64_t item, int by, wire::Failure failure,
                                            std::vector<std::string> earlier) const {
  const TaskId task{call.id, item};
  if (failure.kind == wire::FailureKind::timed_out) return std::make_exception_ptr(timed_out(call, task, by, earlier));
  const EngineInfo& at = engine(by);
  TaskPlace place{by, at.rank, at.host, at.pid, task};
  if (failure.kind == wire::FailureKind::name)
    return std::make_exception_ptr(NameError(std::move(failure.message), std::move(place), std::move(earlier)));
  if (failure.kind == wire::FailureKind::type)
    return std::make_exception_ptr(TypeError(std::move(failure.message), std::move(place), std::move(earlier)));
  return std::make_exception_ptr(
      RemoteError(std::move(place), std::move(failure.type_name), std::move(failure.message), std::move(earlier)));
}

void Controller::note_desertion(const Call& call, std::uint64_t item, const std::exception_ptr& error) {
  const bool known = std::any_of(desertions_.begin(), desertions_.end(),
                                 [&](const Desertion& d) { return d.call == call.id && (call.together || d.item == item); });
  if (!known) desertions_.push_back({call.id, item, now(), error});
}

// Who waits in MPI for an engine that has thrown cannot be called back, nor told from who computes. After a while that is an error of the
// whole job.
void Controller::check_desertions() {
  const std::int64_t limit = now() - std::chrono::nanoseconds(settings_.team_grace).count();
  std::erase_if(desertions_, [&](const Desertion& desertion) {
    const Call* const call = find(desertion.call);
    if (call == nullptr) return true;
    if (!call->together && !call->more->team_items.contains(desertion.item)) return true;
    if (desertion.since > limit) return false;
    transport::end_process(1, wire::error_text(desertion.error) + "\nOther engines have not ended that task " +
                                  std::to_string(settings_.team_grace.count()) +
                                  " ms later (RANKVIEW_TEAM_GRACE_MS): they wait in MPI for the one that threw, and cannot be freed");
  });
}

// One engine has ended the item. What a team runs has ended when all of it have, with the first error if there was one.
void Controller::finish_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  if (!call.more->teams.empty()) {
    auto& team_items = call.more.edit().team_items;
    const auto found = team_items.find(item);
    TeamItem& running = found->second;
    if (error && !running.error) running.error = std::move(error);
    if (--running.pending != 0) return;
    error = std::move(running.error);
    status = error ? Status::failed : Status::completed;
    team_items.erase(found);
  }
  end_item(call, item, status, std::move(error));
}

void Controller::end_item(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  call.items[item].status = status;
  count_end(call, call.items[item]);
  if (error) call.errors.edit().emplace(item, std::move(error));
  for (const auto& [feed, first] : call.more->feeds) {
    if (const auto alive = feed.lock()) alive->ended.push_back(first + item);
  }
  if (!call.same_arguments) {
    // Arguments are kept no longer than they may be needed.
    const auto block = block_of(call, item);
    if (--block->unfinished == 0) block->data = {};
  }
  // From the next line on the client may look at the value.
  if (call.sealed && call.ended + 1 == call.items.size() && !failed(call) && !call.abandoned) {
    complete(call);
  }
  call.ended.fetch_add(1, std::memory_order_release);
  if (call.slot != nullptr) call.slot->well = call.items.size() == 1 && call.sealed && status == Status::completed;
  if (call.node != scheduler::Dependencies::none && (call.sealed || call.root->kind == RootPart::Kind::none)) tell_dependents(call, item);
}

// A task counts once, by how it ended, on the engine or the team that ran it last.
void Controller::count_end(const Call& call, const ItemRecord& record) {
  if (record.engine < 0 || record.status == Status::aborted) return;
  const auto count = [&](int engine) { ++(record.status == Status::completed ? account(engine).completed : account(engine).failed); };
  if (call.more->teams.empty()) {
    count(record.engine);
    return;
  }
  for (const std::vector<int>& team : call.more->teams) {
    if (team.front() == record.engine) std::for_each(team.begin(), team.end(), count);
  }
}

void Controller::complete(Call& call) {
  try {
    call.complete();
  } catch (...) {
    call.failure = caught();
  }
}

// The call has ended. Gives itself, which who wants no result of it is rid of then.
std::shared_ptr<Call> Controller::end_flight(Call& call) {
  call.in_flight = false;
  --in_flight_;
  if (call.terms->queue_timeout != 0) timers_.note_end([this](std::uint64_t id) { return find(id) == nullptr; });
  // Whoever is still making it may be about to keep it.
  const bool wanted = call.kept || !call.laid_out;
  return wanted && !call.abandoned ? call.self : delist(call);
}

void Controller::end_call(Call& call) {
  if (!call.in_flight) return;
  const std::shared_ptr<Call> alive = end_flight(call);
  if (call.node != scheduler::Dependencies::none) dependencies_.remove(std::exchange(call.node, scheduler::Dependencies::none));
  if (call.team != 0) teams_.leave(call.team);
  for (const std::vector<int>& team : call.more->teams) {
    if (const auto number = call.more->team_numbers.find(team.front()); number != call.more->team_numbers.end())
      teams_.leave(number->second);
  }
  for (const int engine : call.more->object_holders) wire::write(outgoing(engine), wire::Forget{call.id});
  if (call.subtask) answer(call);
  send_all();
  call.root.reset();
  std::vector<ArgumentBlock>().swap(call.blocks);
  call.function.object.reset();
  if (call.more) {
    call.more.edit().deferred = {};
    call.more.edit().attempts.clear();
  }
  if (deciding_) decided_.emplace(call.id, alive);
  if (!call.more->continuations.empty()) continue_after(call);
  if (call.abandoned) report_unseen(call);
}

}  // namespace rankview::detail
