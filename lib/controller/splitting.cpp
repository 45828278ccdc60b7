// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/checkpoint.hpp"
#include "controller/controller.hpp"
#include "controller/items.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

// Several jobs that use one checkpoint split its tasks: what is not this job's waits, and may have been done when it becomes so.
namespace rankview::inline abi_0_1::detail {

// Items that are this job's now: looks whether another has done them meanwhile, which takes the disk, and enqueues the others.
class Controller::Release final : public controller::UserWork::Piece {
 public:
  Release(Controller& controller, Call& call, std::vector<std::uint64_t>&& items)
      : Piece(call.life().self), controller_(controller), in_(*call.life().more->checkpointed), items_(std::move(items)) {
    for (const std::uint64_t item : items_) keys_.push_back(in_.keys[item]);
  }

  void run() noexcept override {
    try {
      for (const checkpoint::Key& key : keys_) {
        Recalled& recalled = found_.emplace_back();
        const checkpoint::Found found = in_.in->find(key, recalled.bytes, in_.strict);
        if (found == checkpoint::Found::result || (found == checkpoint::Found::failure && !in_.retry_failed))
          recalled.parts.push_back({key, recalled.bytes.size(), found == checkpoint::Found::failure});
      }
    } catch (...) {
      // There is no memory for what was found: it is done again.
      found_.clear();
    }
  }
  void finish() override {
    CallLife& life = call().life();
    std::vector<std::uint64_t> rest;
    controller_.shares_.note_released(call(), items_);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const std::uint64_t item = items_[i];
      // It may have been given up.
      if (!life.in_flight || life.items[item].status != Status::waiting) continue;
      if (i >= found_.size() || found_[i].parts.empty()) {
        rest.push_back(item);
        continue;
      }
      controller_.ledger_.granted(call(), item, item + 1, -1);
      controller_.keeper_.recall(call(), item, std::move(found_[i]));
    }
    controller_.enqueue_runs(call(), rest);
  }

 private:
  Controller& controller_;
  const Checkpointed& in_;
  std::vector<std::uint64_t> items_;
  std::vector<checkpoint::Key> keys_;
  std::vector<Recalled> found_;
};

void Controller::enqueue_ours(Call& call, std::uint64_t begin, std::uint64_t end) {
  enqueue_runs(call, shares_.withhold(call, begin, end));
}

// Items that wait and stand in no queue, in order: those behind each other together.
void Controller::enqueue_runs(Call& call, const std::vector<std::uint64_t>& items) {
  for (std::size_t i = 0; i < items.size();) {
    const ArgumentBlock& block = *block_of(call, items[i]);
    const std::uint64_t block_end = block.first + block.count;
    std::uint64_t count = 1;
    while (i + count < items.size() && items[i + count] == items[i] + count && items[i + count] < block_end) ++count;
    queue_.enqueue(call, block, items[i], count);
    i += count;
  }
}

// Whether anything has to be done about it.
bool Controller::look_at_shares() {
  constexpr std::size_t together = 1024;  // items that are looked for before others get their turn
  const auto engines = static_cast<std::size_t>(engines_.count());
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  // What waits may be for some engines only.
  const bool needs = scheduler.waiting() < 2 * engines || scheduler.any_idle();
  controller::Shares::Round round = shares_.look(now(), needs, engines);
  for (const checkpoint::Checkpoint* const in : round.to_split) split(in);
  for (auto& [number, items] : round.released) {
    Call* const call = calls_.find(number);
    if (call == nullptr) continue;
    std::sort(items.begin(), items.end());
    for (std::size_t first = 0; first < items.size(); first += together) {
      const auto begin = items.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = items.begin() + static_cast<std::ptrdiff_t>(std::min(items.size(), first + together));
      work_.add(std::make_unique<Release>(*this, *call, std::vector(begin, end)));
    }
  }
  return !round.to_split.empty() || !round.released.empty();
}

// The client may be busy otherwise, and others wait for what this job has.
void Controller::attend_to_shares() {
  if (locked([this] { return shares_.any_to_look_at() && look_at_shares(); })) driver_.wake_progress_thread();
}

// Another job has come, or has taken over what was this job's: it may do all that has not been handed out.
void Controller::split(const checkpoint::Checkpoint* in) {
  shares_.forget(in);
  for (const auto& call : calls_.unfinished()) {
    const CallLife& life = call->life();
    if (!life.checkpointed || life.more->checkpointed->in.get() != in || !in_pool(*call) || life.waits) continue;
    const std::uint64_t count = life.items.size();
    for (std::uint64_t item = 0; item < count; ++item) {
      if (life.items[item].status == Status::handed_out) shares_.note_begun(*call, item);
    }
    if (!life.laid_out && !controller::enqueued_as_they_come(*call)) continue;
    queue_.withdraw(*call);
    enqueue_ours(*call, 0, count);
  }
  shares_.tell_begun(in);
}

}  // namespace rankview::detail
