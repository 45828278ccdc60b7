// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/dispatcher.hpp"

#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "wire/messages.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/detail/caught.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace rankview::controller {

using detail::ArgumentBlock;
using detail::Call;
using detail::has_ended;
using detail::Origin;
using detail::Prerequisite;
using detail::RootPart;
using detail::Spread;

namespace {

// What an attempt may use that is the so-manieth.
std::uint64_t memory_of_attempt(const detail::Terms& terms, unsigned attempt) {
  const double limit = static_cast<double>(terms.memory_limit) * std::pow(terms.memory_growth, attempt == 0 ? 0 : attempt - 1);
  return limit < 1e18 ? static_cast<std::uint64_t>(limit) : 0;
}

}  // namespace

Dispatcher::Dispatcher(const CallRegistry& calls, TaskQueue& queue, Engines& engines, ItemLedger& ledger, UserWork& work, Teams& teams,
                       Forwarding forwarding)
    : calls_(calls),
      queue_(queue),
      engines_(engines),
      ledger_(ledger),
      work_(work),
      teams_(teams),
      forwarding_(forwarding),
      next_ticket_(std::uint64_t{calls.run()} << 48U) {}

void Dispatcher::dispatch() {
  scheduler::Grant next;
  while (queue_.scheduler().next(next)) grant(next);
}

// The call's team, with what rank 0 does in it.
void Dispatcher::enter_team(Call& call) {
  call.life().team = teams_.enter(call.engines, engines_);
  if (call.root->kind != RootPart::Kind::none) teams_.begin(call.life().team, call.life().self);
}

// The same for a call whose items go to one of several teams each; their first engines are granted first.
void Dispatcher::enter_team(Call& call, const scheduler::Grant& grant) {
  const auto team = std::find_if(call.life().more->teams.begin(), call.life().more->teams.end(),
                                 [&](const std::vector<int>& engines) { return engines.front() == grant.engine; });
  if (team == call.life().more->teams.end()) return;
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) call.life().more.edit().team_items.edit()[item].pending = team->size();
  if (call.life().more->team_numbers->contains(grant.engine)) return;
  const std::uint64_t number = teams_.enter(*team, engines_);
  for (const int engine : *team) call.life().more.edit().team_numbers.edit()[engine] = number;
}

// How a task on an engine is to come by a result that is its argument.
Origin::Kind Dispatcher::origin(const Call& result, int to) const {
  if (result.life().cached_on < 0) return Origin::Kind::value;
  if (result.life().cached_on == to) return Origin::Kind::kept;
  const std::uint64_t from = engines_[result.life().cached_on].machine;
  const bool nearer = from != forwarding_.machine && from == engines_[to].machine;
  const bool forward = forwarding_.when == ForwardResults::always || (forwarding_.when == ForwardResults::when_nearer && nearer);
  return forward ? Origin::Kind::delivered : Origin::Kind::value;
}

// Where the results come from that are arguments of one task, as the engine is told that runs it.
class Dispatcher::ArgumentOrigins final : public detail::Origins {
 public:
  ArgumentOrigins(const Dispatcher& dispatcher, const Call& call, int to) : to_(to), next_ticket_(dispatcher.next_ticket_) {
    for (const Prerequisite& result : call.life().more->deferred.arguments.tasks())
      results_.push_back({&*result.call, dispatcher.origin(*result.call, to), result.call->life().cached_on});
  }

  // So many tickets it may use.
  [[nodiscard]] std::uint64_t tickets() const {
    return static_cast<std::uint64_t>(
        std::count_if(results_.begin(), results_.end(), [](const Result& result) { return result.kind == Origin::Kind::delivered; }));
  }

  // Once for each argument that is a result.
  Origin of(const Call& call) override {
    const auto result = std::find_if(results_.begin(), results_.end(), [&call](const Result& each) { return each.call == &call; });
    if (result->kind != Origin::Kind::delivered) return {result->kind, call.id};
    forwarded.push_back({result->cached_on, {call.id, next_ticket_++, static_cast<std::uint64_t>(to_)}});
    return {Origin::Kind::delivered, forwarded.back().second.ticket};
  }

  std::vector<std::pair<int, wire::Forward>> forwarded;  // what engines are to deliver, and which

 private:
  struct Result {
    const Call* call;
    Origin::Kind kind;
    int cached_on;
  };

  std::vector<Result> results_;
  int to_;
  std::uint64_t next_ticket_;
};

// Encodes the arguments of a task that has been granted to an engine, and then sends them there.
class Dispatcher::Encoding final : public UserWork::Piece {
 public:
  Encoding(Dispatcher& dispatcher, Call& call, const scheduler::Grant& grant, bool by_value)
      : Piece(call.life().self),
        dispatcher_(dispatcher),
        grant_(grant),
        encode_(call.life().more->deferred.encode),
        origins_(dispatcher, call, grant.engine),
        by_value_(by_value) {
    first_ticket_ = dispatcher_.next_ticket_;
    dispatcher_.next_ticket_ += origins_.tickets();
    fresh_.count = call.life().blocks.front().count;
    fresh_.unfinished = call.life().blocks.front().unfinished;
  }

  void run() noexcept override {
    try {
      encode_(fresh_, &origins_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    detail::CallLife& life = call().life();
    const bool ended_early = has_ended(life.items[grant_.begin].status);
    const bool gone = !dispatcher_.engines_.live(grant_.engine);
    if (gone && !ended_early && error_.error == nullptr) {
      dispatcher_.orphans_.push_back({grant_.call, grant_.begin});
      return;
    }
    // It may have been given up meanwhile.
    if (error_.error != nullptr || ended_early) {
      if (!gone) dispatcher_.queue_.scheduler().finished(grant_.engine, grant_.call, grant_.begin, grant_.end, 0);
      std::exception_ptr error = detail::keep(call(), std::move(error_));
      dispatcher_.ledger_.give_up(call(), Status::failed, [&error](const TaskId&) { return error; });
      return;
    }
    std::swap(life.blocks.front(), fresh_);
    detail::Deferred& deferred = life.more.edit().deferred;
    deferred.by_value = by_value_;
    deferred.first_ticket = first_ticket_;
    deferred.holders.clear();
    for (const auto& [holder, forward] : origins_.forwarded) {
      deferred.holders.push_back(holder);
      wire::write(dispatcher_.engines_.to(holder), forward);
    }
    dispatcher_.hand_out(call(), grant_);
  }

 private:
  Dispatcher& dispatcher_;
  scheduler::Grant grant_;
  detail::EncodeArguments encode_;
  ArgumentOrigins origins_;
  bool by_value_;
  std::uint64_t first_ticket_ = 0;
  ArgumentBlock fresh_;
  detail::ToldError error_;
};

void Dispatcher::grant(const scheduler::Grant& grant) {
  Call& call = *calls_.find(grant.call);
  if (!encode_for(call, grant)) hand_out(call, grant);
}

// Encodes arguments that are results anew if the engine may have some of them, or another might have had. If so, that hands the task out.
bool Dispatcher::encode_for(Call& call, const scheduler::Grant& grant) {
  const detail::Deferred& deferred = call.life().more->deferred;
  // What several engines run, all begin with the same, or some would wait for others.
  if (!deferred.encode || call.life().terms->isolation != Isolation::none || call.life().items.size() != 1 ||
      call.spread == Spread::together || call.spread == Spread::teams)
    return false;
  const auto& results = deferred.arguments.tasks();
  const bool by_value = std::all_of(results.begin(), results.end(),
                                    [&](const Prerequisite& result) { return origin(*result.call, grant.engine) == Origin::Kind::value; });
  if (by_value && deferred.by_value) return false;
  auto encoding = std::make_unique<Encoding>(*this, call, grant, by_value);
  if (deferred.plain) {
    encoding->run();
    encoding->finish();
    work_.leave(std::shared_ptr<const UserWork::Piece>(std::move(encoding)));
  } else {
    work_.add(std::move(encoding));
  }
  return true;
}

void Dispatcher::hand_out(Call& call, const scheduler::Grant& grant) {
  if (call.spread == Spread::together && call.life().team == 0) enter_team(call);
  if (call.spread == Spread::teams) enter_team(call, grant);
  ledger_.granted(call, grant.begin, grant.end, grant.engine);
  if (call.function.thunk->load != nullptr) write_object(call, grant.engine);
  if (call.same_arguments) {
    write_batch(call, call.life().blocks.front(), grant.engine, grant.slow, grant.begin, grant.end);
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
  const std::vector<int>& holders = call.life().more->object_holders;
  if (std::find(holders.begin(), holders.end(), engine) != holders.end()) return;
  wire::CallableState object;
  object.call = call.id;
  object.state = call.function.object->bytes.bytes();
  wire::write(engines_.to(engine), object);
  call.life().more.edit().object_holders.push_back(engine);
}

void Dispatcher::write_batch(const Call& call, const ArgumentBlock& block, int engine, bool slow, std::uint64_t begin, std::uint64_t end) {
  wire::Batch batch;
  batch.thunk = call.life().code->thunk;
  batch.function = call.life().code->function;
  batch.call = call.id;
  batch.has_object = call.function.thunk->load != nullptr;
  batch.first = begin;
  batch.count = end - begin;
  batch.stride = block.stride;
  batch.team = call.spread != Spread::teams ? call.life().team : call.life().more->team_numbers->at(engine);
  batch.communicator = call.communicator;
  batch.first_only = call.spread == Spread::teams;
  batch.predicate = call.life().code->predicate;
  const detail::Terms& terms = *call.life().terms;
  batch.timeout = terms.timeout;
  batch.isolated = terms.isolation != Isolation::none;
  batch.forked = terms.isolation == Isolation::fork;
  if (terms.memory_limit != 0) batch.memory_limit = memory_of_attempt(terms, call.life().items[begin].attempts);
  batch.flat = call.life().subtask;
  batch.slow = slow;
  batch.keep = call.keeps && !batch.isolated;
  batch.first_ticket = call.life().more->deferred.first_ticket;
  batch.holders = call.life().more->deferred.holders;
  batch.awaits = !batch.holders.empty();
  batch.movable = in_pool(call) && call.spread != Spread::teams && !batch.awaits;
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
  if (!in_pool(call) || call.spread == Spread::teams || scheduler.waiting() != 0) return -1;
  for (const Prerequisite& result : call.life().more->deferred.arguments.tasks()) {
    const int engine = result.call->life().cached_on;
    if (engine < 0) continue;
    const bool allowed = call.engines.empty() || std::find(call.engines.begin(), call.engines.end(), engine) != call.engines.end();
    const scheduler::Load load = scheduler.load(engine);
    if (allowed && load.handed_out == 0 && load.waiting == 0) return engine;
  }
  return -1;
}

void Dispatcher::stop(const Call& call, std::uint64_t begin, std::uint64_t limit) {
  const auto tell = [&](int engine, std::uint64_t first, std::uint64_t count) {
    const auto team = std::find_if(call.life().more->teams.begin(), call.life().more->teams.end(),
                                   [engine](const auto& t) { return t.front() == engine; });
    if (team == call.life().more->teams.end()) {
      wire::write(engines_.to(engine), wire::Stop{call.id, first, count});
    } else {
      for (const int member : *team) wire::write(engines_.to(member), wire::Stop{call.id, first, count});
    }
  };
  // In ranges of neighbours that one engine has.
  for (std::uint64_t item = begin; item < limit;) {
    const detail::ItemRecord& record = call.life().items[item];
    std::uint64_t end = item + 1;
    if (record.status == Status::handed_out && record.engine >= 0) {
      while (end < limit && call.life().items[end].status == Status::handed_out && call.life().items[end].engine == record.engine) ++end;
      tell(record.engine, item, end - item);
    }
    item = end;
  }
}

}  // namespace rankview::controller
