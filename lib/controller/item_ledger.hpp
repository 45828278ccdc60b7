// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/dependency_gate.hpp"
#include "controller/engines.hpp"
#include "controller/items.hpp"
#include "controller/recorder.hpp"
#include "controller/user_work.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

namespace rankview::controller {

// What becomes of items. Nobody else writes the status of one, and here is found out that a call is over.
//
//   from \ to     waiting                            handed_out   completed, failed, aborted
//   waiting       -                                  granted()    ended(), give_up()
//   handed_out    returned(), not_begun(), failed()  granted()*   ended()
//
// Where a team runs an item, each of its engines is granted it and ends it; the item ends with the last of them (*).
class ItemLedger {
 public:
  // Makes the error of a task.
  using MakeError = std::function<std::exception_ptr(const TaskId&)>;

  // `recorder`: hears of it, null for nobody.
  ItemLedger(Engines& engines, DependencyGate& gate, UserWork& work, Recorder* recorder = nullptr)
      : engines_(engines), gate_(gate), work_(work), recorder_(recorder) {}

  // An engine has been given items [begin, end), or rank 0, which is -1, has begun its own.
  void granted(detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine);
  // The engine that had it has given it back and never began it. Throws DecodeError if it did not have it.
  void returned(detail::Call& call, std::uint64_t item, int engine);
  // The engine could not begin it: it waits for another.
  void not_begun(detail::Call& call, std::uint64_t item);
  // An attempt has failed, and there is to be another.
  void failed(detail::Call& call, std::uint64_t item);
  // One engine has ended it; with it the item ends, or its team's part in it.
  void finished(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  // A team has it of which an engine has died: it waits for another as soon as the others have ended it. Not if it has failed there
  // already.
  void again_behind_team(detail::Call& call, std::uint64_t item);
  [[nodiscard]] static bool is_again_behind_team(const detail::Call& call, std::uint64_t item);
  // Those that wait now.
  [[nodiscard]] bool any_left_by_teams() const { return !left_by_teams_.empty(); }
  std::vector<TaskId> take_left_by_teams() { return std::exchange(left_by_teams_, {}); }
  // It ends, whoever had it.
  void ended(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  // Ends all that wait and stand in no queue any more.
  void give_up(detail::Call& call, Status status, const MakeError& error);

  // No more items will come, and rank 0's own part in the call is over.
  void seal(detail::Call& call);
  // Tells the recorder of the ends that it has not heard of.
  void flush_records() {
    if (unrecorded_ != nullptr) record_ends();
  }
  // Whether any call is over, whose end has to be carried out, and the next of them, or null.
  [[nodiscard]] bool any_over() const { return !over_.empty(); }
  template <class F>
  void for_each_over(F f) const {
    for (std::size_t i = next_over_; i < over_.size(); ++i) f(*over_[i]);
  }
  detail::Call* next_over();

 private:
  class Completion;

  bool last_of_team(detail::Call& call, std::uint64_t item, Status& status, std::exception_ptr& error);
  void note_end(detail::Call& call, std::uint64_t item, std::exception_ptr&& error);
  void drop_arguments(detail::ArgumentBlock& block);
  void add_completion(detail::Call& call, std::uint64_t last);
  void note_unrecorded(const detail::Call& call, std::uint64_t item);
  void record_ends();
  void publish_end(detail::Call& call, std::uint64_t item);
  void publish_seal(detail::Call& call);
  void count_end(const detail::Call& call, const detail::ItemRecord& record);
  void count_end_of_team(const detail::Call& call, const detail::ItemRecord& record);

  Engines& engines_;
  DependencyGate& gate_;
  UserWork& work_;
  Recorder* const recorder_;
  const detail::Call* unrecorded_ = nullptr;  // a call of which items [first_, last_) have ended, and the recorder has not heard of it
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  std::vector<detail::Call*> over_;  // in the order of their ends; in flight, so that they stay
  std::size_t next_over_ = 0;        // of these, the first that was not asked for
  std::vector<TaskId> left_by_teams_;
};

// ---- done for every item, so that a call of a function each would show ---------------------------------------------------------

inline void ItemLedger::finished(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  if (call.spread == detail::Spread::teams && !last_of_team(call, item, status, error)) return;
  ended(call, item, status, std::move(error));
}

inline void ItemLedger::ended(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  detail::CallLife& life = call.life();
  life.items[item].status = status;
  count_end(call, life.items[item]);
  if (recorder_ != nullptr) note_unrecorded(call, item);
  if (error || life.more) note_end(call, item, std::move(error));
  if (!call.same_arguments) {
    detail::ArgumentBlock& block = *block_of(call, item);
    // The only one of a call goes with its end.
    if (--block.unfinished == 0 && (!life.sealed || life.blocks.size() > 1)) drop_arguments(block);
  }
  if (call.completes && life.sealed && life.ended + 1 == life.items.size() && !detail::failed(call) && !life.abandoned) {
    add_completion(call, item);
  } else {
    publish_end(call, item);
  }
}

// Tells whoever waits for the item that it has ended.
inline void ItemLedger::publish_end(detail::Call& call, std::uint64_t item) {
  detail::CallLife& life = call.life();
  const bool well = life.items[item].status == Status::completed && !life.failure;
  // From the next line on the client may look at the value.
  life.ended.fetch_add(1, std::memory_order_release);
  if (life.slot != nullptr) life.slot->well = life.items.size() == 1 && life.sealed && well;
  if (life.node != scheduler::Dependencies::none && (life.sealed || call.root->kind == detail::RootPart::Kind::none))
    gate_.ended(call, item);
  if (life.done()) over_.push_back(&call);
}

inline detail::Call* ItemLedger::next_over() {
  flush_records();
  if (next_over_ != over_.size()) return over_[next_over_++];
  over_.clear();
  next_over_ = 0;
  return nullptr;
}

// A task counts once, by how it ended, on the engine or the team that ran it last.
inline void ItemLedger::count_end(const detail::Call& call, const detail::ItemRecord& record) {
  if (record.engine < 0 || record.status == Status::aborted) return;
  if (call.spread == detail::Spread::teams) {
    count_end_of_team(call, record);
  } else {
    engines_.account(record.engine).count(record.status);
  }
}

}  // namespace rankview::controller
