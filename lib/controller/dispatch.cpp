// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/detail/caught.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

// The controller towards the engines: what the scheduler grants becomes messages.
namespace rankview::inline abi_0_1::detail {

void Controller::dispatch() {
  scheduler::Grant next;
  while (scheduler_.next(next)) grant(next);
  send_all();
}

transport::Message& Controller::outgoing(int engine) {
  auto& message = outgoing_[static_cast<std::size_t>(engine)];
  if (!message) {
    message = endpoint_.message();
    to_send_.push_back(engine);
  }
  return *message;
}

void Controller::send(int engine) {
  auto& message = outgoing_[static_cast<std::size_t>(engine)];
  if (!message) return;
  endpoint_.send(settings_.engines[static_cast<std::size_t>(engine)].peer, std::move(*message));
  message.reset();  // to_send_ still names the engine
}

void Controller::send_all() {
  for (; !to_send_.empty(); to_send_.pop_back()) send(to_send_.back());
}

// The call's team, with what rank 0 does in it.
void Controller::enter_team(Call& call) {
  call.team = teams_.enter(call.engines, [this](int engine) -> transport::Message& { return outgoing(engine); });
  if (call.root->kind != RootPart::Kind::none) teams_.begin(call.team, call.self);
}

// The same for a call whose items go to one of several teams each; their first engines are granted first.
void Controller::enter_team(Call& call, const scheduler::Grant& grant) {
  const auto team = std::find_if(call.more->teams.begin(), call.more->teams.end(),
                                 [&](const std::vector<int>& engines) { return engines.front() == grant.engine; });
  if (team == call.more->teams.end()) return;
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) call.more.edit().team_items[item].pending = team->size();
  if (call.more->team_numbers.contains(grant.engine)) return;
  const std::uint64_t number = teams_.enter(*team, [this](int engine) -> transport::Message& { return outgoing(engine); });
  for (const int engine : *team) call.more.edit().team_numbers[engine] = number;
}

void Controller::end_root_part(Call& call) {
  call.root.edit().kept.reset();
  call.last_received = now();
  call.sealed.store(true, std::memory_order_release);
  if (call.node != scheduler::Dependencies::none) {
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (has_ended(call.items[item].status)) tell_dependents(call, item);
    }
  }
  if (call.done()) end_call(call);
}

// How a task on an engine is to come by a result that is its argument.
Origin::Kind Controller::origin(const Call& result, int to) const {
  if (result.kept_on < 0) return Origin::Kind::value;
  if (result.kept_on == to) return Origin::Kind::kept;
  const std::uint64_t from = engine(result.kept_on).machine;
  const bool nearer = from != settings_.machine && from == engine(to).machine;
  const bool forward = settings_.forward == ForwardResults::always || (settings_.forward == ForwardResults::when_nearer && nearer);
  return forward ? Origin::Kind::delivered : Origin::Kind::value;
}

// Encodes arguments that are results anew if an engine may have some of them, or another might have had. If that throws, the task fails.
bool Controller::encode_for(Call& call, const scheduler::Grant& grant) {
  // What several engines run, all begin with the same, or some would wait for others.
  if (call.together || !call.more->teams.empty() || call.items.size() != 1) return true;
  Deferred& deferred = call.more.edit().deferred;
  class FromEngines final : public Origins {
   public:
    FromEngines(const Controller& controller, int to, std::uint64_t next_ticket)
        : controller_(controller), to_(to), next_ticket_(next_ticket) {}

    Origin of(const Call& result) override {
      const Origin::Kind kind = controller_.origin(result, to_);
      if (kind != Origin::Kind::delivered) return {kind, result.id};
      forwarded.push_back({result.kept_on, {result.id, next_ticket_++, static_cast<std::uint64_t>(to_)}});
      return {Origin::Kind::delivered, forwarded.back().second.ticket};
    }

    std::vector<std::pair<int, wire::Forward>> forwarded;  // by whom

   private:
    const Controller& controller_;
    int to_;
    std::uint64_t next_ticket_;
  };
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
    scheduler_.finished(grant.engine, grant.call, grant.begin, grant.end, 0);
    give_up(call, Status::failed, [error = caught()](const TaskId&) { return error; });
    return false;
  }
  block = std::move(fresh);
  deferred.by_value = by_value;
  deferred.first_ticket = next_ticket_;
  deferred.tickets = origins.forwarded.size();
  next_ticket_ += deferred.tickets;
  for (const auto& [holder, forward] : origins.forwarded) wire::write(outgoing(holder), forward);
  return true;
}

void Controller::grant(const scheduler::Grant& grant) {
  Call& call = *find(grant.call);
  if (call.more->deferred.encode && !encode_for(call, grant)) return;
  if (call.together && call.team == 0) enter_team(call);
  if (!call.more->teams.empty()) enter_team(call, grant);
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) {
    ItemRecord& record = call.items[item];
    // The first engine of a team stands for all.
    if (record.status == Status::handed_out) continue;
    record.status = Status::handed_out;
    record.engine = grant.engine;
    ++record.attempts;
  }
  if (call.function.thunk->load != nullptr &&
      std::find(call.more->object_holders.begin(), call.more->object_holders.end(), grant.engine) == call.more->object_holders.end()) {
    wire::Object object;
    object.call = call.id;
    object.state = call.function.object->bytes.bytes();
    wire::write(outgoing(grant.engine), object);
    call.more.edit().object_holders.push_back(grant.engine);
  }
  if (call.same_arguments) {
    write_batch(call, call.blocks.front(), grant, grant.begin, grant.end);
    return;
  }
  // One batch for each block that the grant touches.
  auto block = block_of(call, grant.begin);
  for (std::uint64_t item = grant.begin; item < grant.end; ++block) {
    const std::uint64_t end = std::min(grant.end, block->first + block->count);
    write_batch(call, *block, grant, item, end);
    item = end;
  }
}

void Controller::write_batch(Call& call, const ArgumentBlock& block, const scheduler::Grant& grant, std::uint64_t begin,
                             std::uint64_t end) {
  const int engine = grant.engine;
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
  batch.slow = grant.slow;
  batch.keep = call.keeps;
  batch.first_ticket = call.more->deferred.first_ticket;
  batch.tickets = call.more->deferred.tickets;
  batch.awaits = batch.tickets != 0;
  batch.movable = call.balanced && call.more->teams.empty() && !batch.awaits;
  if (call.root->kind != RootPart::Kind::none && call.root->votes) batch.votes = call.root->rounds;
  batch.items = call.same_arguments ? block.items(0, 1) : block.items(begin, end);
  // What has attachments travels alone, so that they are known to belong to it.
  const bool attached = !block.data.attachments.empty();
  if (attached) send(engine);
  transport::Message& message = outgoing(engine);
  wire::write(message, batch);
  if (!attached) return;
  message.attachments = block.data.attachments;
  message.kept = block.data.kept;
  send(engine);
}

}  // namespace rankview::detail
