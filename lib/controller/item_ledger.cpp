// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/item_ledger.hpp"

#include "controller/items.hpp"
#include "controller/task_errors.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rankview::controller {

using detail::Call;
using detail::has_ended;
using detail::ItemRecord;
using detail::Spread;

// All items of a call have ended, which is not told before this has made of their values what the client gets.
class ItemLedger::Completion final : public UserWork::Piece {
 public:
  // `last`: the item that ended last; none if the call was sealed after that.
  Completion(ItemLedger& ledger, Call& call, std::optional<std::uint64_t> last) : Piece(call.life().self), ledger_(ledger), last_(last) {}

  void run() noexcept override {
    try {
      call().complete();
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    call().life().failure = detail::keep(call(), std::move(error_));
    if (last_) {
      ledger_.publish_end(call(), *last_);
    } else {
      ledger_.publish_seal(call());
    }
  }

 private:
  ItemLedger& ledger_;
  std::optional<std::uint64_t> last_;
  detail::ToldError error_;
};

void ItemLedger::granted(Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  for (std::uint64_t item = begin; item < end; ++item) {
    ItemRecord& record = call.life().items[item];
    // The first engine of a team stands for all.
    if (record.status == Status::handed_out) continue;
    record.status = Status::handed_out;
    record.engine = engine;
    ++record.attempts;
  }
  if (recorder_ != nullptr) recorder_->granted(call, begin, end, engine);
}

void ItemLedger::returned(Call& call, std::uint64_t item, int engine) {
  const ItemRecord& record = call.life().items[item];
  if (record.status != Status::handed_out || record.engine != engine)
    throw DecodeError("task " + to_string(TaskId{call.id, item}) + " was given back by an engine that does not have it");
  not_begun(call, item);
}

void ItemLedger::not_begun(Call& call, std::uint64_t item) {
  ItemRecord& record = call.life().items[item];
  record.status = Status::waiting;
  record.engine = -1;
  --record.attempts;
}

void ItemLedger::failed(Call& call, std::uint64_t item) {
  call.life().items[item].status = Status::waiting;
  if (recorder_ != nullptr) recorder_->retried(call, item);
}

// Mostly neighbours end one after the other.
void ItemLedger::note_unrecorded(const Call& call, std::uint64_t item) {
  if (unrecorded_ == &call && last_ == item) {
    ++last_;
    return;
  }
  flush_records();
  unrecorded_ = &call;
  first_ = item;
  last_ = item + 1;
}

void ItemLedger::record_ends() { recorder_->ended(*std::exchange(unrecorded_, nullptr), first_, last_); }

// The status and error that the item ends with, if this was the last of its team to end it.
bool ItemLedger::last_of_team(Call& call, std::uint64_t item, Status& status, std::exception_ptr& error) {
  auto& team_items = call.life().more.edit().team_items.edit();
  const auto found = team_items.find(item);
  detail::TeamItem& running = found->second;
  // The first error stands for all.
  if (error && !running.error) running.error = std::move(error);
  if (--running.pending != 0) return false;
  if (running.again) {
    team_items.erase(found);
    failed(call, item);
    left_by_teams_.push_back({call.id, item});
    return false;
  }
  error = std::move(running.error);
  status = error ? Status::failed : Status::completed;
  team_items.erase(found);
  return true;
}

void ItemLedger::again_behind_team(Call& call, std::uint64_t item) {
  detail::TeamItem& running = call.life().more.edit().team_items.edit().at(item);
  if (!running.error) running.again = true;
}

bool ItemLedger::is_again_behind_team(const Call& call, std::uint64_t item) {
  const auto running = call.life().more->team_items->find(item);
  return running != call.life().more->team_items->end() && running->second.again;
}

// What few items bring with them when they end.
void ItemLedger::note_end(Call& call, std::uint64_t item, std::exception_ptr&& error) {
  detail::CallLife& life = call.life();
  if (error && recorder_ != nullptr && life.items[item].status == Status::failed) recorder_->ending(call, item, nullptr);
  if (error) life.errors.edit().emplace(item, std::move(error));
  for (const auto& [feed, first] : life.more->feeds) {
    if (const auto alive = feed.lock()) alive->ended.push_back(first + item);
  }
}

// Arguments are kept no longer than they may be needed.
void ItemLedger::drop_arguments(detail::ArgumentBlock& block) {
  work_.leave(std::move(block.data.kept));
  block.data = {};
}

void ItemLedger::add_completion(Call& call, std::uint64_t last) { work_.add(std::make_unique<Completion>(*this, call, last)); }

// A task counts once, by how it ended, on the team that ran it last.
void ItemLedger::count_end_of_team(const Call& call, const ItemRecord& record) {
  for (const std::vector<int>& team : call.life().more->teams) {
    if (team.front() != record.engine) continue;
    for (const int engine : team) engines_.account(engine).count(record.status);
  }
}

void ItemLedger::give_up(Call& call, Status status, const MakeError& error) {
  // Rank 0 has no part in what nobody was handed.
  if (call.spread == Spread::together && call.life().team == 0) seal(call);
  for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
    if (call.life().items[item].status == Status::waiting) ended(call, item, status, error({call.id, item}));
  }
}

void ItemLedger::seal(Call& call) {
  const detail::CallLife& life = call.life();
  if (life.sealed) return;
  if (call.completes && life.ended == life.items.size() && !detail::failed(call) && !life.abandoned) {
    work_.add(std::make_unique<Completion>(*this, call, std::nullopt));
  } else {
    publish_seal(call);
  }
}

void ItemLedger::publish_seal(Call& call) {
  detail::CallLife& life = call.life();
  life.sealed.store(true, std::memory_order_release);
  if (call.root->kind != detail::RootPart::Kind::none) {
    // Whoever waits for its items waits for rank 0's part as well.
    for (std::uint64_t item = 0; item < life.items.size(); ++item) {
      if (has_ended(life.items[item].status)) gate_.ended(call, item);
    }
  }
  if (life.done()) over_.push_back(&call);
}

}  // namespace rankview::controller
