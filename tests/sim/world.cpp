// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "world.hpp"

#include "team.hpp"

#include "wire/messages.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

namespace sim {
namespace {

namespace transport = rankview::transport;

thread_local World* here = nullptr;

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
// What a look at the clock or at messages takes.
constexpr std::int64_t step_time = 500;

}  // namespace

World& world() { return *here; }

World::World(std::uint64_t seed, bool trace, std::uint64_t run)
    : seed_(seed), random_(seed ^ (run << 63U)), trace_(trace), ranks_(most_ranks), assemblies_(std::make_unique<Assemblies>()) {
  for (Rank& rank : ranks_) rank.next_arrival = never;
}

World::~World() {
  for (const auto& strand : strands_) {
    if (strand->thread.joinable()) strand->thread.join();
  }
}

void World::start(int rank, const std::string& name, std::function<void()> body) {
  auto& strand = *strands_.emplace_back(std::make_unique<Strand>());
  strand.rank = rank;
  strand.name = name;
  strand.body = std::move(body);
  strand.thread = std::thread([this, &strand] {
    here = this;
    strand.go.acquire();
    try {
      strand.body();
    } catch (const Gone&) {
      // Its process has ended.
    } catch (const std::exception& error) {
      give_up(strand.name + " of rank " + std::to_string(strand.rank) + ": " + error.what());
    }
    strand.over = true;
    const auto goes_on = [](const auto& other) { return !other->over && !other->of_tested; };
    ends_ = std::none_of(strands_.begin(), strands_.end(), goes_on);
    if (ends_ && deaths_ == 0 && std::any_of(strands_.begin(), strands_.end(), [](const auto& other) { return !other->over; }))
      give_up("a thread is left");
    hand_on();
  });
}

std::size_t World::start(std::function<void()> body) {
  start(runs_ ? rank() : 0, "thread", std::move(body));
  strands_.back()->of_tested = true;
  return strands_.size() - 1;
}

void World::join(std::size_t thread) {
  wait_until([this, thread] { return strands_[thread]->over; });
}

void World::run(std::uint64_t most_steps) {
  most_steps_ = most_steps;
  here = this;
  runs_ = true;
  current_ = draw(strands_.size());
  strands_[current_]->go.release();
  all_over_.acquire();
  for (const auto& strand : strands_) strand->thread.join();
}

void World::give_up(const std::string& why) const {
  std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed_), why.c_str());
  std::fflush(nullptr);
  _exit(1);
}

void World::say(const std::string& event) {
  if (!trace_) return;
  const Strand& strand = *strands_[current_];
  std::printf("%9lld us  rank %d %-8s %s\n", static_cast<long long>(now_ / 1000), strand.rank, strand.name.c_str(), event.c_str());
}

bool World::ready(const Strand& strand) const {
  if (strand.over || ranks_[static_cast<std::size_t>(strand.rank)].stopped_until > now_) return false;
  return strand.wake <= now_ || (strand.for_messages && ranks_[static_cast<std::size_t>(strand.rank)].next_arrival <= now_);
}

void World::note_next_arrival(Rank& rank) {
  rank.next_arrival = never;
  for (const auto& [sender, packets] : rank.from) {
    if (!packets.empty()) rank.next_arrival = std::min(rank.next_arrival, packets.front().arrives);
  }
}

// Gives the turn to whoever is drawn, and waits until it comes back, unless this strand is over.
void World::hand_on() {
  const std::size_t self = current_;
  now_ += step_time;
  candidates_.clear();
  for (;;) {
    for (std::size_t i = 0; i < strands_.size(); ++i) {
      if (ready(*strands_[i])) candidates_.push_back(i);
    }
    if (!candidates_.empty()) break;
    // Nobody has anything to do until then.
    std::int64_t next = never;
    for (const auto& strand : strands_) {
      if (strand->over) continue;
      std::int64_t wakes = strand->wake;
      if (strand->for_messages) wakes = std::min(wakes, at(strand->rank).next_arrival);
      next = std::min(next, std::max(wakes, at(strand->rank).stopped_until));
    }
    if (next == never) {
      all_over_.release();
      return;
    }
    now_ = std::max(now_, next);
  }
  if (++steps_ > most_steps_) {
    std::string unended;
    for (const auto& strand : strands_) {
      if (!strand->over) unended += " " + strand->name + " of rank " + std::to_string(strand->rank) + ";";
    }
    give_up("after " + std::to_string(most_steps_) + " steps these have not ended:" + unended);
  }
  const std::size_t next = candidates_[draw(candidates_.size())];
  current_ = next;
  if (next == self) return;
  // Before this strand's memory may go.
  const bool over = strands_[self]->over;
  Turn& go = strands_[self]->go;
  strands_[next]->go.release();
  if (!over) go.acquire();
}

void World::yield() {
  strands_[current_]->wake = now_;
  strands_[current_]->for_messages = false;
  hand_on();
}

void World::nap(std::chrono::nanoseconds pause) {
  Strand& strand = *strands_[current_];
  strand.for_messages = pause.count() != 0;
  // Who naps again and again has nothing to do, and need not be woken as often; and who is woken by messages hardly needs the time.
  const std::int64_t shortest = std::max<std::int64_t>(pause.count(), strand.for_messages ? 200'000 : 20'000);
  strand.wake = now_ + std::min<std::int64_t>(shortest << std::min(2 * strand.naps++, 6U), 2'000'000);
  hand_on();
}

void World::sleep(std::chrono::nanoseconds time) {
  const std::int64_t until = now_ + time.count();
  Strand& strand = *strands_[current_];
  while (now_ < until) {
    strand.wake = until;
    strand.for_messages = false;
    hand_on();
    if (ends_ && strand.of_tested) throw Gone();
  }
}

// Mostly short, seldom long.
std::int64_t World::delay() {
  const std::uint64_t kind = draw(10);
  return static_cast<std::int64_t>(kind < 7 ? draw(5'000) : kind < 9 ? draw(60'000) : draw(1'000'000));
}

// ---- deaths ------------------------------------------------------------------------------------------------------------------

bool World::over(int rank) const {
  return std::all_of(strands_.begin(), strands_.end(), [rank](const auto& strand) { return strand->rank != rank || strand->over; });
}

void World::kill(int rank) {
  say("rank " + std::to_string(rank) + " dies");
  ++deaths_;
  Rank& gone = at(rank);
  gone.died = now_;
  const auto drop = [this](std::deque<Packet>& link, std::size_t kept) {
    for (; link.size() > kept; link.pop_back()) dropped_.push_back(std::move(link.back()));
  };
  for (auto& [sender, link] : gone.from) drop(link, 0);
  for (Rank& other : ranks_) {
    const auto link = other.from.find(rank);
    if (link == other.from.end() || link->second.empty() || chance(50)) continue;
    drop(link->second, draw(link->second.size()));
    note_next_arrival(other);
  }
  Packet end;
  end.arrives = now_;
  end.tag = next_tag_++;
  for (int other = 1; other < most_ranks; ++other) rankview::wire::write(end.message, rankview::wire::Lost{other - 1});
  rankview::wire::write(end.message, rankview::wire::End{rankview::wire::Ending::failed, 1, "its process is no more", 0});
  gone.from[0].push_back(std::move(end));
  note_next_arrival(gone);
}

void World::end_process(int rank, const std::string& why) {
  if (!dead(rank)) {
    kill(rank);
    on_end_(rank, why);
  }
  throw Gone();
}

// ---- messages ----------------------------------------------------------------------------------------------------------------

class SimEndpoint final : public transport::Endpoint {
 public:
  SimEndpoint(World& world, int rank) : world_(world), rank_(rank) {}

  void send(int peer, transport::Message&& message) override {
    if (world_.dead(rank_) || forgotten_.contains(peer)) {
      note_sent(message);
      return;
    }
    ++own().sent[peer];
    if (world_.dead(peer)) {
      lost_.push_back(std::move(message));
      return;
    }
    World::Rank& to = world_.at(peer);
    std::deque<World::Packet>& link = to.from[rank_];
    World::Packet packet;
    packet.arrives = std::max(world_.now_ + world_.delay(), link.empty() ? 0 : link.back().arrives);
    packet.tag = world_.next_tag_++;
    packet.message = std::move(message);
    world_.say("sends " + std::to_string(packet.message.size()) + " bytes to rank " + std::to_string(peer));
    link.push_back(std::move(packet));
    world_.note_next_arrival(to);
  }

  bool poll(transport::FrameHandler& handler) override {
    bool any = false;
    for (transport::Message& message : std::exchange(own().taken_in, {})) {
      note_sent(message);
      any = true;
    }
    if (own().next_arrival > world_.now_) return any;
    std::vector<int> senders;
    for (const auto& [sender, packets] : own().from) {
      if (!packets.empty() && packets.front().arrives <= world_.now_) senders.push_back(sender);
    }
    const int sender = senders[world_.draw(senders.size())];
    World::Packet packet = std::move(own().from[sender].front());
    own().from[sender].pop_front();
    world_.note_next_arrival(own());
    world_.strands_[world_.current_]->naps = 0;
    deliver(handler, sender, packet);
    World::Rank& from = world_.at(sender);
    if (!world_.dead(rank_)) --from.sent[rank_];
    from.taken_in.push_back(std::move(packet.message));
    return true;
  }

  void forget(int peer) override {
    forgotten_.insert(peer);
    for (World::Packet& packet : own().from[peer]) world_.dropped_.push_back(std::move(packet));
    own().from.erase(peer);
    own().sent.erase(peer);
    world_.note_next_arrival(own());
  }

  std::unique_ptr<transport::Transfer> receive(const transport::Frame& frame,
                                               const std::vector<transport::Claims::Place>& places) override {
    auto attached = world_.attachments_.extract(frame.tag);
    if (attached.empty()) throw std::logic_error("attachments are received twice");
    return std::make_unique<Arriving>(world_, frame.peer, world_.now_ + world_.delay(), std::move(attached.mapped()), places);
  }

  std::unique_ptr<transport::Team> assemble(std::uint64_t turn, const std::vector<int>& engines) override {
    Assembling assembling(world_, rank_, turn, engines);
    assembling.wait();
    return assembling.take();
  }

  std::unique_ptr<transport::Assembly> begin_assembly(std::uint64_t turn, const std::vector<int>& engines) override {
    return std::make_unique<Assembling>(world_, rank_, turn, engines);
  }

  [[nodiscard]] bool flushed() const override {
    const auto& sent = world_.at(rank_).sent;
    // What is short leaves whether anybody takes it or not.
    return world_.dead(rank_) ||
           std::all_of(sent.begin(), sent.end(), [this](const auto& to) { return to.second == 0 || world_.over(to.first); });
  }

  bool doze(transport::Idle&) override {
    world_.nap(std::chrono::microseconds(50));
    return true;
  }

 private:
  class Arriving final : public transport::Transfer {
   public:
    Arriving(World& world, int peer, std::int64_t when, std::vector<std::vector<std::byte>> bytes,
             std::vector<transport::Claims::Place> places)
        : world_(world), peer_(peer), when_(when), bytes_(std::move(bytes)), places_(std::move(places)) {}

    bool done() override {
      // Half of it has come by then.
      if (world_.dead(peer_) && world_.at(peer_).died < when_) return false;
      if (world_.now_ < when_) return false;
      for (std::size_t i = 0; i < places_.size(); ++i) std::memcpy(places_[i].data, bytes_[i].data(), places_[i].size);
      places_.clear();
      return true;
    }

   private:
    World& world_;
    int peer_;
    std::int64_t when_;
    std::vector<std::vector<std::byte>> bytes_;
    std::vector<transport::Claims::Place> places_;
  };

  class Assembling final : public transport::Assembly {
   public:
    Assembling(World& world, int rank, std::uint64_t turn, const std::vector<int>& engines) {
      const auto at = std::find(engines.begin(), engines.end(), rank);
      if (rank != 0) member_ = static_cast<int>(at - engines.begin()) + 1;
      std::weak_ptr<Circle>& circle = world.assemblies().circles[{turn, engines}];
      circle_ = circle.lock();
      if (circle_ == nullptr) {
        std::vector<int> ranks{0};
        ranks.insert(ranks.end(), engines.begin(), engines.end());
        circle = circle_ = std::make_shared<Circle>(world, ranks);
      }
      meeting_ = circle_->begin({Circle::Context::assembly}, member_, {"a team", Exchange::Way::all, 0, 0, 0}, {});
    }

    bool done() override { return meeting_->done(member_); }
    void wait() {
      try {
        circle_->wait(*meeting_, member_);
      } catch (const Gone&) {
        // A task that waits for a subtask may be around it, and take this for an error of its own: so it goes on, as all that is
        // left of a rank that has died, and makes a team that nobody answers.
      }
    }
    std::unique_ptr<transport::Team> take() override { return std::make_unique<SimTeam>(circle_, member_); }

   private:
    int member_ = 0;
    std::shared_ptr<Circle> circle_;
    std::shared_ptr<Exchange> meeting_;
  };

  void deliver(transport::FrameHandler& handler, int from, World::Packet& packet) {
    std::vector<std::uint64_t> sizes;
    for (const transport::Attachment& attachment : packet.message.attachments) {
      sizes.push_back(attachment.size);
      world_.attachments_[packet.tag].emplace_back(attachment.data, attachment.data + attachment.size);
    }
    world_.say("takes in " + std::to_string(packet.message.size()) + " bytes from rank " + std::to_string(from));
    transport::Frame frame;
    frame.peer = from;
    frame.records = packet.message.bytes.bytes().subspan(sizeof(transport::FrameHeader));
    frame.attachment_sizes = sizes;
    frame.tag = packet.tag;
    handler.on_frame(frame);
  }

  World::Rank& own() { return world_.at(rank_); }

  World& world_;
  int rank_;
  std::set<int> forgotten_;
  std::vector<transport::Message> lost_;  // to those that had died
};

std::unique_ptr<transport::Endpoint> World::endpoint(int rank) { return std::make_unique<SimEndpoint>(*this, rank); }

}  // namespace sim
