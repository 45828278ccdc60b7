// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/teams.hpp"
#include "controller/call_life.hpp"
#include "controller/task_errors.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace rankview::controller {

using detail::RootPart;

std::uint64_t Teams::enter(const std::vector<int>& members, Engines& engines) {
  std::uint64_t& number = by_engines_[members];
  if (number == 0) {
    if (teams_.size() >= most) drop_unused(engines);
    number = next_number_++;
    Team& added = teams_[number];
    added.number = number;
    added.engines = members;
    const wire::Join join{number, {members.begin(), members.end()}};
    for (const int engine : members) wire::write(engines.to(engine), join);
    busy_.push_back(number);
  }
  Team& team = teams_.at(number);
  ++team.calls;
  team.used = ++uses_;
  return number;
}

void Teams::leave(std::uint64_t number) {
  if (!broken_.contains(number)) --teams_.at(number).calls;
}

// MPI may go on for ever with what was begun in them, so that is never freed, nor what it looks at.
std::vector<std::shared_ptr<detail::Call>> Teams::lose(int engine) {
  static auto& for_ever = *new std::vector<decltype(teams_)::node_type>;
  // What rank 0 gives in a collective.
  static auto& read_for_ever = *new std::vector<std::shared_ptr<const void>>;
  std::vector<std::shared_ptr<detail::Call>> calls;
  for (auto at = teams_.begin(); at != teams_.end();) {
    const auto each = at++;
    Team& team = each->second;
    if (std::find(team.engines.begin(), team.engines.end(), engine) == team.engines.end()) continue;
    for (const Part& part : team.parts) {
      calls.push_back(part.call);
      if (part.begun != nullptr) read_for_ever.push_back(part.call->root->kept);
    }
    broken_.insert(team.number);
    if (assembling_ == team.number) assembling_ = 0;
    by_engines_.erase(team.engines);
    std::erase(busy_, team.number);
    for_ever.push_back(teams_.extract(each));
  }
  return calls;
}

// The one that was used longest ago. While all are in use there may be more than are kept.
void Teams::drop_unused(Engines& engines) {
  Team* oldest = nullptr;
  for (auto& [number, team] : teams_) {
    if (team.calls == 0 && (oldest == nullptr || team.used < oldest->used)) oldest = &team;
  }
  if (oldest == nullptr) return;
  for (const int engine : oldest->engines) wire::write(engines.to(engine), wire::Disband{oldest->number});
  by_engines_.erase(oldest->engines);
  teams_.erase(oldest->number);
}

void Teams::begin(std::uint64_t number, std::shared_ptr<detail::Call> call) {
  Team& team = teams_.at(number);
  if (team.made != nullptr && team.parts.empty()) busy_.push_back(number);
  team.parts.emplace_back();
  team.parts.back().call = std::move(call);
}

void Teams::on_join(std::uint64_t number, int engine) {
  if (broken_.contains(number)) return;
  const auto found = teams_.find(number);
  if (found == teams_.end() || found->second.made != nullptr || found->second.joining == found->second.engines.size())
    throw DecodeError("engine " + std::to_string(engine) + " joins team " + std::to_string(number) + ", which it was not asked to");
  ++found->second.joining;
}

bool Teams::progress(transport::Endpoint& endpoint, const Engines& engines, UserWork& work,
                     const std::function<void(detail::Call&)>& over) {
  bool any = false;
  for (std::size_t i = 0; i < busy_.size();) {
    Team& team = teams_.at(busy_[i]);
    if (team.made == nullptr && assembling_ == 0 && team.joining == team.engines.size()) {
      assembling_ = team.number;
      ++turns_;
      std::vector<int> members;
      for (const int engine : team.engines) {
        members.push_back(engines[engine].peer);
        transport::Message message = endpoint.message();
        wire::write(message, wire::Assemble{team.number, turns_});
        endpoint.send(members.back(), std::move(message));
      }
      team.assembly = endpoint.begin_assembly(turns_, members);
    }
    if (team.made == nullptr) {
      if (team.assembly == nullptr || !team.assembly->done()) {
        ++i;
        continue;
      }
      team.made = team.assembly->take();
      team.assembly.reset();
      assembling_ = 0;
      any = true;
    }
    while (!team.parts.empty()) {
      const Moved moved = move(team, work);
      any = any || moved.any;
      if (!moved.over) break;
      const std::shared_ptr<detail::Call> call = std::move(team.parts.front().call);
      team.parts.pop_front();
      over(*call);
    }
    if (team.parts.empty()) {
      busy_.erase(busy_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  return any;
}

// ---- rank 0's part, step by step ---------------------------------------------------------------------------------------------

void Teams::start(Team& team, Part& part) {
  const RootPart& root = *part.call->root;
  part.votes.resize(static_cast<std::size_t>(team.made->members()));
  part.counts.resize(team.engines.size());
  part.rounds = root.rounds;
  part.own = {1, 0};
  if (root.votes) {
    part.phase = Phase::vote;
    part.begun = team.made->gather_votes(part.own, part.votes);
    return;
  }
  part.phase = Phase::data;
  part.verdict = {1, root.deal.total};
  part.to = part.call->room(root.deal.total);
  if (root.kind == RootPart::Kind::reduce) part.begun = team.made->reduce(part.to, root.deal.total, root.element, root.operation);
}

Teams::Moved Teams::move(Team& team, UserWork& work) {
  Part& part = team.parts.front();
  Moved moved;
  if (part.phase == Phase::handed_out) start(team, part);
  while (part.phase == Phase::room ? part.room->there : part.begun == nullptr || part.begun->done()) {
    moved.any = true;
    if (!next(team, part, work)) {
      moved.over = true;
      return moved;
    }
  }
  // From the decision on nobody is late, and looking is what moves the data.
  moved.any = moved.any || (part.phase == Phase::data && part.call->root->votes);
  return moved;
}

// What was begun is done: begins what comes next. False at the end.
bool Teams::next(Team& team, Part& part, UserWork& work) {
  const RootPart& root = *part.call->root;
  transport::Team& with = *team.made;
  switch (part.phase) {
    case Phase::vote:
      decide(part, work);
      if (part.room != nullptr) {
        part.phase = Phase::room;
        return true;
      }
      part.phase = Phase::announcement;
      part.begun = with.announce(part.verdict);
      return true;
    case Phase::room:
      part.to = std::exchange(part.room, nullptr)->to;
      if (part.call->life().failure != nullptr) part.verdict.go = 0;
      part.phase = Phase::announcement;
      part.begun = with.announce(part.verdict);
      return true;
    case Phase::announcement:
      if (part.verdict.go == 0) return false;
      if (--part.rounds != 0) {
        part.phase = Phase::vote;
        part.begun = with.gather_votes(part.own, part.votes);
        return true;
      }
      part.phase = Phase::data;
      break;
    case Phase::handed_out:
    case Phase::data:
      return false;
  }
  detail::Deal deal = root.deal;
  switch (root.kind) {
    case RootPart::Kind::broadcast:
      part.begun = with.broadcast(const_cast<std::byte*>(root.from), deal.total);
      return true;
    case RootPart::Kind::scatter:
      part.begun = with.scatter(root.from, nullptr, deal);
      return true;
    case RootPart::Kind::gather:
      deal.total = part.verdict.total;
      part.begun = with.gather(nullptr, part.to, 0, part.counts, deal);
      return true;
    case RootPart::Kind::reduce:
      part.begun = with.reduce(part.to, part.counts.front(), root.element, root.operation);
      return true;
    case RootPart::Kind::none:
    case RootPart::Kind::attend:
      return false;
  }
  return false;
}

// Has room made for what comes to rank 0, whose elements may have constructors of the program's.
class Teams::MakingRoom final : public UserWork::Piece {
 public:
  MakingRoom(const detail::Call& call, std::uint64_t count, std::shared_ptr<Room> room)
      : Piece(call.life().self), count_(count), room_(std::move(room)) {}

  void run() noexcept override {
    try {
      room_->to = call().room(count_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    // Unless it has failed for an engine that has died.
    detail::CallLife& life = call().life();
    if (error_.error != nullptr && life.failure == nullptr) life.failure = detail::keep(call(), std::move(error_));
    room_->there = true;
  }

 private:
  std::uint64_t count_;
  std::shared_ptr<Room> room_;
  detail::ToldError error_;
};

void Teams::make_room(Part& part, std::uint64_t count, UserWork& work) {
  if (part.call->plain) {
    part.to = part.call->room(count);
  } else {
    part.room = std::make_shared<Room>();
    work.add(std::make_unique<MakingRoom>(*part.call, count, part.room));
  }
}

// From the votes: whether the call comes about. What is wrong beyond single engines becomes the error of the call.
void Teams::decide(Part& part, UserWork& work) {
  detail::Call& call = *part.call;
  const RootPart& root = *call.root;
  part.verdict = {1, 0};
  for (std::size_t i = 0; i < part.counts.size(); ++i) {
    const transport::Vote& vote = part.votes[i + 1];
    if (vote.ready == 0) part.verdict.go = 0;
    part.counts[i] = vote.count;
    part.verdict.total += vote.count;
  }
  if (part.verdict.go == 0 || part.rounds != root.rounds) return;
  const auto& counts = part.counts;
  try {
    if (root.equal_counts && std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) != counts.end())
      throw UsageError(root.what + " wants equally many elements on each engine, which have, in target order, " + detail::listed(counts));
    if (root.some && part.verdict.total == 0) throw UsageError(root.what + ": there is no element on any engine");
    if (root.kind == RootPart::Kind::gather && root.deal.dist == Distribution::round_robin) detail::check_round_robin(root.what, counts);
    if (root.kind == RootPart::Kind::gather) make_room(part, part.verdict.total, work);
    if (root.kind == RootPart::Kind::reduce) make_room(part, counts.front(), work);
  } catch (...) {
    call.life().failure = std::current_exception();
    part.verdict.go = 0;
  }
}

}  // namespace rankview::controller
