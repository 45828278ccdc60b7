// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/item_ledger.hpp"

#include "controller/items.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace rankview::controller {

using detail::Call;
using detail::has_ended;
using detail::ItemRecord;

namespace {

// The last result is there: makes of them what the client gets.
void complete(Call& call) {
  try {
    call.complete();
  } catch (...) {
    call.failure = detail::caught();
  }
}

}  // namespace

void ItemLedger::granted(Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  for (std::uint64_t item = begin; item < end; ++item) {
    ItemRecord& record = call.items[item];
    // The first engine of a team stands for all.
    if (record.status == Status::handed_out) continue;
    record.status = Status::handed_out;
    record.engine = engine;
    ++record.attempts;
  }
}

void ItemLedger::returned(Call& call, std::uint64_t item, int engine) {
  const ItemRecord& record = call.items[item];
  if (record.status != Status::handed_out || record.engine != engine)
    throw DecodeError("task " + to_string(TaskId{call.id, item}) + " was given back by an engine that does not have it");
  not_begun(call, item);
}

void ItemLedger::not_begun(Call& call, std::uint64_t item) {
  ItemRecord& record = call.items[item];
  record.status = Status::waiting;
  record.engine = -1;
  --record.attempts;
}

void ItemLedger::failed(Call& call, std::uint64_t item) { call.items[item].status = Status::waiting; }

void ItemLedger::finished(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  if (!call.more->teams.empty()) {
    auto& team_items = call.more.edit().team_items;
    const auto found = team_items.find(item);
    detail::TeamItem& running = found->second;
    // The first error stands for all.
    if (error && !running.error) running.error = std::move(error);
    if (--running.pending != 0) return;
    error = std::move(running.error);
    status = error ? Status::failed : Status::completed;
    team_items.erase(found);
  }
  ended(call, item, status, std::move(error));
}

void ItemLedger::ended(Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
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
  if (call.sealed && call.ended + 1 == call.items.size() && !detail::failed(call) && !call.abandoned) complete(call);
  // From the next line on the client may look at the value.
  call.ended.fetch_add(1, std::memory_order_release);
  if (call.slot != nullptr) call.slot->well = call.items.size() == 1 && call.sealed && status == Status::completed;
  if (call.sealed || call.root->kind == detail::RootPart::Kind::none) gate_.ended(call, item);
  if (call.done()) over_.push_back(&call);
}

// A task counts once, by how it ended, on the engine or the team that ran it last.
void ItemLedger::count_end(const Call& call, const ItemRecord& record) {
  if (record.engine < 0 || record.status == Status::aborted) return;
  const auto count = [&](int engine) {
    Account& account = engines_.account(engine);
    ++(record.status == Status::completed ? account.completed : account.failed);
  };
  if (call.more->teams.empty()) {
    count(record.engine);
    return;
  }
  for (const std::vector<int>& team : call.more->teams) {
    if (team.front() == record.engine) std::for_each(team.begin(), team.end(), count);
  }
}

void ItemLedger::give_up(Call& call, Status status, const MakeError& error) {
  // Rank 0 has no part in what nobody was handed.
  if (call.together && call.team == 0) seal(call);
  for (std::uint64_t item = 0; item < call.items.size(); ++item) {
    if (call.items[item].status == Status::waiting) ended(call, item, status, error({call.id, item}));
  }
}

void ItemLedger::seal(Call& call) {
  if (call.sealed) return;
  const bool none = call.items.empty();
  if (none && !detail::failed(call) && call.function.thunk != nullptr && call.function.thunk->finish != nullptr) complete(call);
  call.sealed.store(true, std::memory_order_release);
  if (call.root->kind != detail::RootPart::Kind::none) {
    // Whoever waits for these waits for rank 0's part as well.
    for (std::uint64_t item = 0; item < call.items.size(); ++item) {
      if (has_ended(call.items[item].status)) gate_.ended(call, item);
    }
  }
  if (call.done()) over_.push_back(&call);
}

Call* ItemLedger::next_over() {
  if (next_over_ == over_.size()) {
    over_.clear();
    next_over_ = 0;
    return nullptr;
  }
  return over_[next_over_++];
}

}  // namespace rankview::controller
