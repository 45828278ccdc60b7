// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/shares.hpp"

#include "checkpoint/checkpoint.hpp"
#include "controller/call_life.hpp"
#include "controller/items.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace rankview::controller {

using checkpoint::Leases;
using detail::Call;

namespace {

const detail::Checkpointed& kept_of(const Call& call) { return *call.life().more->checkpointed; }
std::uint32_t bucket_of(const Call& call, std::uint64_t item) { return Leases::bucket_of(kept_of(call).keys[item]); }

}  // namespace

Shares::Share& Shares::share_of(const Call& call) { return shares_.at(kept_of(call).in.get()); }

void Shares::add(const std::shared_ptr<checkpoint::Checkpoint>& in) {
  const auto [added, first] = shares_.try_emplace(in.get());
  if (!first) return;
  added->second.in = in;
  // The rest of what there is to know is heard in the next look, which can act on it.
  added->second.splits = in->sharing()->splits();
}

bool Shares::any_to_look_at() const {
  return std::any_of(shares_.begin(), shares_.end(),
                     [](const auto& each) { return each.second.splits || each.first->sharing()->any_news(); });
}

bool Shares::splits(const Call& call) const {
  const auto found = shares_.find(kept_of(call).in.get());
  return found != shares_.end() && found->second.splits;
}

std::size_t Shares::waiting() const {
  std::size_t count = 0;
  for (const auto& [in, share] : shares_) {
    for (const auto& withheld : share.withheld) count += withheld.size();
  }
  return count;
}

std::vector<std::uint64_t> Shares::withhold(const Call& call, std::uint64_t begin, std::uint64_t end) {
  Share& share = share_of(call);
  std::vector<std::uint64_t> ours;
  for (std::uint64_t item = begin; item < end; ++item) {
    if (call.life().items[item].status != Status::waiting) continue;
    const std::uint32_t bucket = bucket_of(call, item);
    const bool releasing = releasing_.contains({call.id, item});
    if (releasing || share.held[bucket]) {
      share.begun[bucket].push_back({call.id, item});
      if (!releasing) ours.push_back(item);
    } else {
      share.withheld[bucket].push_back({call.id, item});
    }
  }
  return ours;
}

void Shares::forget(const checkpoint::Checkpoint* in) {
  Share& share = shares_.at(in);
  for (auto& withheld : share.withheld) withheld.clear();
  for (auto& begun : share.begun) begun.clear();
}

void Shares::note_released(const Call& call, const std::vector<std::uint64_t>& items) {
  for (const std::uint64_t item : items) releasing_.erase({call.id, item});
}

void Shares::note_begun(const Call& call, std::uint64_t item) { share_of(call).begun[bucket_of(call, item)].push_back({call.id, item}); }

void Shares::tell_begun(const checkpoint::Checkpoint* in) {
  Share& share = shares_.at(in);
  std::vector<std::uint32_t> begun;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (!share.begun[bucket].empty()) begun.push_back(bucket);
  }
  share.in->sharing()->share(std::move(begun));
}

Shares::Round Shares::look(std::int64_t now, bool needs, std::size_t engines) {
  constexpr std::int64_t period = 50'000'000;     // nanoseconds between two looks at what has ended
  constexpr std::int64_t patience = 500'000'000;  // likewise, between two wishes
  Round round;
  const bool looks = now >= next_look_;
  if (looks) next_look_ = now + period;
  for (auto& [in, share] : shares_) {
    if (in->sharing()->any_news()) hear(share, round);
    if (!share.splits) continue;
    if (looks) give_back_idle(share);
    // Others may have come to wait since.
    if (needs && (!share.wants || now >= share.wanted_at + patience)) want_more(share, now, engines);
  }
  return round;
}

void Shares::hear(Share& share, Round& round) {
  const checkpoint::Sharing::News news = share.in->sharing()->take_news();
  for (const std::uint32_t bucket : news.lost) share.held.reset(bucket);
  for (const std::uint32_t bucket : news.gained) share.held.set(bucket);
  if (news.answered) share.wants = false;
  const bool did = share.splits;
  share.splits = news.splits || news.asked;
  // Who is asked has to answer, also if it has only just come to have all of it, and had waited before.
  if (news.asked || (share.splits && (!did || !news.lost.empty()))) round.to_split.push_back(share.in.get());
  const bool ends = did && !share.splits;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (ends || share.held[bucket]) release(share, bucket, round);
  }
  if (!ends) return;
  // All is this job's now.
  share.held.reset();
  for (auto& begun : share.begun) begun.clear();
}

void Shares::release(Share& share, std::uint32_t bucket, Round& round) {
  std::vector<TaskId>& begun = share.begun[bucket];
  for (const TaskId& task : std::exchange(share.withheld[bucket], {})) {
    if (!waits(task)) continue;
    begun.push_back(task);
    releasing_.emplace(task.call, task.item);
    round.released[task.call].push_back(task.item);
  }
}

void Shares::give_back_idle(Share& share) {
  std::vector<std::uint32_t> idle;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (!share.held[bucket]) continue;
    std::vector<TaskId>& begun = share.begun[bucket];
    while (!begun.empty() && !runs(begun.back())) begun.pop_back();
    if (!begun.empty()) continue;
    idle.push_back(bucket);
    share.held.reset(bucket);
  }
  if (!idle.empty()) share.in->sharing()->give_back(std::move(idle));
}

// Whoever was submitted first goes first, as far as there are enough.
void Shares::want_more(Share& share, std::int64_t now, std::size_t engines) {
  std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>> first;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    std::vector<TaskId>& withheld = share.withheld[bucket];
    if (withheld.empty()) continue;
    if (!waits(withheld.front())) std::erase_if(withheld, [this](const TaskId& task) { return !waits(task); });
    if (!withheld.empty()) first.emplace_back(withheld.front().call, withheld.front().item, bucket);
  }
  if (first.empty()) return;
  std::sort(first.begin(), first.end());
  std::vector<std::uint32_t> order;
  std::size_t most = 0;
  std::size_t items = 0;
  for (const auto& [call, item, bucket] : first) {
    order.push_back(bucket);
    if (items < 2 * engines) ++most;
    items += share.withheld[bucket].size();
  }
  share.wants = true;
  share.wanted_at = now;
  share.in->sharing()->want(std::move(order), most);
}

// Whether it waits for an engine, or for this.
bool Shares::waits(const TaskId& task) const {
  const Call* const call = calls_.find(task.call);
  return call != nullptr && !call->life().aborted && call->life().items[task.item].status == Status::waiting;
}

bool Shares::runs(const TaskId& task) const {
  const Call* const call = calls_.find(task.call);
  return call != nullptr && !detail::has_ended(call->life().items[task.item].status);
}

}  // namespace rankview::controller
