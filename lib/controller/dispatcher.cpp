// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/dispatcher.hpp"

#include "controller/items.hpp"
#include "wire/messages.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/detail/caught.hpp>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace rankview::controller {

using detail::ArgumentBlock;
using detail::Call;
using detail::Origin;
using detail::Prerequisite;
using detail::RootPart;

Dispatcher::Dispatcher(const CallRegistry& calls, TaskQueue& queue, Engines& engines, ItemLedger& ledger, Teams& teams,
                       Forwarding forwarding)
    : calls_(calls),
      queue_(queue),
      engines_(engines),
      ledger_(ledger),
      teams_(teams),
      forwarding_(forwarding),
      next_ticket_(std::uint64_t{calls.run()} << 48U) {}

void Dispatcher::dispatch() {
  scheduler::Grant next;
  while (queue_.scheduler().next(next)) grant(next);
}

// The call's team, with what rank 0 does in it.
void Dispatcher::enter_team(Call& call) {
  call.team = teams_.enter(call.engines, engines_);
  if (call.root->kind != RootPart::Kind::none) teams_.begin(call.team, call.self);
}

// The same for a call whose items go to one of several teams each; their first engines are granted first.
void Dispatcher::enter_team(Call& call, const scheduler::Grant& grant) {
  const auto team = std::find_if(call.more->teams.begin(), call.more->teams.end(),
                                 [&](const std::vector<int>& engines) { return engines.front() == grant.engine; });
  if (team == call.more->teams.end()) return;
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) call.more.edit().team_items[item].pending = team->size();
  if (call.more->team_numbers.contains(grant.engine)) return;
  const std::uint64_t number = teams_.enter(*team, engines_);
  for (const int engine : *team) call.more.edit().team_numbers[engine] = number;
}

// How a task on an engine is to come by a result that is its argument.
Origin::Kind Dispatcher::origin(const Call& result, int to) const {
  if (result.kept_on < 0) return Origin::Kind::value;
  if (result.kept_on == to) return Origin::Kind::kept;
  const std::uint64_t from = engines_[result.kept_on].machine;
  const bool nearer = from != forwarding_.machine && from == engines_[to].machine;
  const bool forward = forwarding_.when == ForwardResults::always || (forwarding_.when == ForwardResults::when_nearer && nearer);
  return forward ? Origin::Kind::delivered : Origin::Kind::value;
}

// Where the arguments of one task come from, and what engines are to deliver for it.
class Dispatcher::FromEngines final : public detail::Origins {
 public:
  FromEngines(const Dispatcher& dispatcher, int to, std::uint64_t next_ticket)
      : dispatcher_(dispatcher), to_(to), next_ticket_(next_ticket) {}

  Origin of(const Call& result) override {
    const Origin::Kind kind = dispatcher_.origin(result, to_);
    if (kind != Origin::Kind::delivered) return {kind, result.id};
    forwarded.push_back({result.kept_on, {result.id, next_ticket_++, static_cast<std::uint64_t>(to_)}});
    return {Origin::Kind::delivered, forwarded.back().second.ticket};
  }

  std::vector<std::pair<int, wire::Forward>> forwarded;  // by whom

 private:
  const Dispatcher& dispatcher_;
  int to_;
  std::uint64_t next_ticket_;
};

// Encodes arguments that are results anew if an engine may have some of them, or another might have had. If that throws, the task fails.
bool Dispatcher::encode_for(Call& call, const scheduler::Grant& grant) {
  // What several engines run, all begin with the same, or some would wait for others.
  if (call.together || !call.more->teams.empty() || call.items.size() != 1) return true;
  detail::Deferred& deferred = call.more.edit().deferred;
  const auto& results = deferred.arguments.tasks();
  const bool by_value = std::all_of(results.begin(), results.end(),
                                    [&](const Prerequisite& result) { return origin(*result.call, grant.engine) == Origin::Kind::value; });
  if (by_value && deferred.by_value) return true;
  FromEngines origins(*this, grant.engine, next_ticket_);
  ArgumentBlock& block = call.blocks.front();
  ArgumentBlock fresh;
  fresh.count = block.count;
  fresh.unfinished = block.unfinished;
  try {
    deferred.encode(fresh, &origins);
  } catch (...) {
    queue_.scheduler().finished(grant.engine, grant.call, grant.begin, grant.end, 0);
    ledger_.give_up(call, Status::failed, [error = detail::caught()](const TaskId&) { return error; });
    return false;
  }
  block = std::move(fresh);
  deferred.by_value = by_value;
  deferred.first_ticket = next_ticket_;
  deferred.tickets = origins.forwarded.size();
  next_ticket_ += deferred.tickets;
  for (const auto& [holder, forward] : origins.forwarded) wire::write(engines_.to(holder), forward);
  return true;
}

void Dispatcher::grant(const scheduler::Grant& grant) {
  Call& call = *calls_.find(grant.call);
  if (call.more->deferred.encode && !encode_for(call, grant)) return;
  if (call.together && call.team == 0) enter_team(call);
  if (!call.more->teams.empty()) enter_team(call, grant);
  ledger_.granted(call, grant.begin, grant.end, grant.engine);
  if (call.function.thunk->load != nullptr) write_object(call, grant.engine);
  if (call.same_arguments) {
    write_batch(call, call.blocks.front(), grant.engine, grant.slow, grant.begin, grant.end);
    return;
  }
  // One batch for each block that the grant touches.
  auto block = block_of(call, grant.begin);
  for (std::uint64_t item = grant.begin; item < grant.end; ++block) {
    const std::uint64_t end = std::min(grant.end, block->first + block->count);
    write_batch(call, *block, grant.engine, grant.slow, item, end);
    item = end;
  }
}

// The state of a callable, once for each engine.
void Dispatcher::write_object(Call& call, int engine) {
  const std::vector<int>& holders = call.more->object_holders;
  if (std::find(holders.begin(), holders.end(), engine) != holders.end()) return;
  wire::Object object;
  object.call = call.id;
  object.state = call.function.object->bytes.bytes();
  wire::write(engines_.to(engine), object);
  call.more.edit().object_holders.push_back(engine);
}

void Dispatcher::write_batch(const Call& call, const ArgumentBlock& block, int engine, bool slow, std::uint64_t begin, std::uint64_t end) {
  wire::Batch batch;
  batch.thunk = call.code->thunk;
  batch.function = call.code->function;
  batch.call = call.id;
  batch.has_object = call.function.thunk->load != nullptr;
  batch.first = begin;
  batch.count = end - begin;
  batch.stride = block.stride;
  batch.team = call.more->teams.empty() ? call.team : call.more->team_numbers.at(engine);
  batch.communicator = call.communicator;
  batch.first_only = !call.more->teams.empty();
  batch.predicate = call.code->predicate;
  batch.timeout = call.terms->timeout;
  batch.flat = call.subtask;
  batch.slow = slow;
  batch.keep = call.keeps;
  batch.first_ticket = call.more->deferred.first_ticket;
  batch.tickets = call.more->deferred.tickets;
  batch.awaits = batch.tickets != 0;
  batch.movable = call.balanced && call.more->teams.empty() && !batch.awaits;
  if (call.root->kind != RootPart::Kind::none && call.root->votes) batch.votes = call.root->rounds;
  batch.items = call.same_arguments ? block.items(0, 1) : block.items(begin, end);
  // What has attachments travels alone, so that they are known to belong to it.
  const bool attached = !block.data.attachments.empty();
  if (attached) engines_.send(engine);
  transport::Message& message = engines_.to(engine);
  wire::write(message, batch);
  if (!attached) return;
  message.attachments = block.data.attachments;
  message.kept = block.data.kept;
  engines_.send(engine);
}

int Dispatcher::engine_with_arguments(const Call& call) const {
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  if (!call.balanced || !call.more->teams.empty() || scheduler.waiting() != 0) return -1;
  for (const Prerequisite& result : call.more->deferred.arguments.tasks()) {
    const int engine = result.call->kept_on;
    if (engine < 0) continue;
    const bool allowed = call.engines.empty() || std::find(call.engines.begin(), call.engines.end(), engine) != call.engines.end();
    const scheduler::Load load = scheduler.load(engine);
    if (allowed && load.handed_out == 0 && load.waiting == 0) return engine;
  }
  return -1;
}

void Dispatcher::stop(const Call& call, std::uint64_t begin, std::uint64_t limit) {
  const auto tell = [&](int engine, std::uint64_t first, std::uint64_t count) {
    const auto team =
        std::find_if(call.more->teams.begin(), call.more->teams.end(), [engine](const auto& t) { return t.front() == engine; });
    if (team == call.more->teams.end()) {
      wire::write(engines_.to(engine), wire::Stop{call.id, first, count});
    } else {
      for (const int member : *team) wire::write(engines_.to(member), wire::Stop{call.id, first, count});
    }
  };
  // In ranges of neighbours that one engine has.
  for (std::uint64_t item = begin; item < limit;) {
    const detail::ItemRecord& record = call.items[item];
    std::uint64_t end = item + 1;
    if (record.status == Status::handed_out && !call.local) {
      while (end < limit && call.items[end].status == Status::handed_out && call.items[end].engine == record.engine) ++end;
      tell(record.engine, item, end - item);
    }
    item = end;
  }
}

}  // namespace rankview::controller
