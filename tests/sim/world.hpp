// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/clock.hpp"
#include "transport/endpoint.hpp"

#include <semaphore.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Ranks in one process, whose every step is drawn from a seed: which of them goes on, and when a message arrives.
//
// Each runs in a thread of its own, since the code under test is the one that ships; but only one thread runs at a time, and hands on where
// it would otherwise wait. Time is virtual, and passes when nobody has anything to do.
namespace sim {

// What a thread waits for until it is its turn. As std::binary_semaphore, which gives the processor away some times before it sleeps: on a
// machine that has others to run, that is long.
class Turn {
 public:
  Turn() { sem_init(&semaphore_, 0, 0); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { sem_destroy(&semaphore_); }

  void release() { sem_post(&semaphore_); }
  void acquire() {
    while (sem_wait(&semaphore_) != 0) continue;
  }

 private:
  sem_t semaphore_;
};

struct Assemblies;

// Thrown where a process is no more.
struct Gone {};

class World final : public rankview::transport::TimeSource {
 public:
  static constexpr int most_ranks = 8;

  // `trace`: whether each event is printed. `run`: of several with the same seed, which draw differently.
  World(std::uint64_t seed, bool trace, std::uint64_t run = 0);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // Before run(), or from a strand: something that goes on by itself; `rank` is for the trace and for messages.
  void start(int rank, const std::string& name, std::function<void()> body);
  // Runs until all strands have ended. Gives up after so many steps, or when one throws.
  void run(std::uint64_t most_steps);
  // What went wrong cannot be undone: says so with the seed, and ends the process.
  [[noreturn]] void give_up(const std::string& why) const;

  // ---- for strands ----
  // Others may go on first.
  void yield();
  // Virtual time passes, or a message arrives for the strand's rank.
  // Of no time: only that, of somebody who does not look for messages.
  void nap(std::chrono::nanoseconds pause) override;
  // Virtual time passes.
  void sleep(std::chrono::nanoseconds time) override;
  // Waits for what others do, with looks that become rarer.
  template <class Done>
  void wait_until(Done done) {
    for (std::chrono::microseconds pause(20); !done(); pause = std::min(2 * pause, std::chrono::microseconds(1000))) sleep(pause);
  }
  // Of the strand's rank, or before run(), of rank 0: a thread of what is under test.
  std::size_t start(std::function<void()> body) override;
  void join(std::size_t thread) override;
  // The calling strand's.
  [[nodiscard]] int rank() const { return strands_[current_]->rank; }

  [[nodiscard]] std::int64_t now() const override { return now_; }
  // Below `below`.
  std::uint64_t draw(std::uint64_t below) { return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_); }
  bool chance(unsigned percent) { return draw(100) < percent; }
  void say(const std::string& event);
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

  // The rank's process is no more: what it does from here on has no effect for others, and part of what it has sent may be lost. Its
  // strands go on as if the client had failed, so that they end.
  void kill(int rank);
  [[nodiscard]] bool dead(int rank) const { return died(rank) != alive; }
  // When, of one that has.
  [[nodiscard]] std::int64_t died(int rank) const { return ranks_[static_cast<std::size_t>(rank)].died; }
  // The same from within: the rank's process ends itself. `on_end` is what others notice of that.
  [[noreturn]] void end_process(int rank, const std::string& why);
  void set_on_end(std::function<void(int rank, const std::string& why)> on_end) { on_end_ = std::move(on_end); }
  // The rank does nothing for so long.
  void stop(int rank, std::chrono::nanoseconds time) {
    stopped_ = true;
    say("rank " + std::to_string(rank) + " stops for " + std::to_string(time.count() / 1000) + " us");
    at(rank).stopped_until = now_ + time.count();
  }
  // Whether any has been killed or stopped.
  [[nodiscard]] bool disturbed() const { return deaths_ != 0 || stopped_; }
  // How many have been killed.
  [[nodiscard]] int deaths() const { return deaths_; }
  // Whether all that the rank does has ended.
  [[nodiscard]] bool over(int rank) const;

  // The end of a connection between ranks.
  std::unique_ptr<rankview::transport::Endpoint> endpoint(int rank);
  // How long what is sent takes.
  std::int64_t delay();
  Assemblies& assemblies() { return *assemblies_; }

 private:
  friend class SimEndpoint;
  static constexpr std::int64_t alive = -1;

  struct Strand {
    int rank = 0;
    std::string name;
    std::function<void()> body;
    std::int64_t wake = 0;      // not before
    bool for_messages = false;  // or when one arrives
    unsigned naps = 0;          // since something last arrived
    bool over = false;
    bool of_tested = false;  // a thread of what is under test
    Turn go;
    std::thread thread;
  };

  // A message on its way.
  struct Packet {
    std::int64_t arrives = 0;
    rankview::transport::Message message;
    std::uint32_t tag = 0;
  };
  // What is on its way to a rank, and what it has sent that has been taken in.
  struct Rank {
    std::map<int, std::deque<Packet>> from;
    std::int64_t next_arrival = 0;
    std::map<int, std::size_t> sent;  // by receiver, messages of it that are on their way
    std::int64_t died = alive;
    std::int64_t stopped_until = 0;
    std::vector<rankview::transport::Message> taken_in;
  };

  void hand_on();
  [[nodiscard]] bool ready(const Strand& strand) const;
  Rank& at(int rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  void note_next_arrival(Rank& rank);

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  const bool trace_;
  std::int64_t now_ = 1'000'000;
  std::uint64_t steps_ = 0;
  std::uint64_t most_steps_ = 0;
  int deaths_ = 0;
  bool stopped_ = false;  // somebody was
  std::vector<std::unique_ptr<Strand>> strands_;
  std::size_t current_ = 0;
  bool runs_ = false;
  bool ends_ = false;  // only threads are left, of what is kept for ever since somebody has died
  Turn all_over_;
  std::map<std::uint32_t, std::vector<std::vector<std::byte>>> attachments_;  // by tag, those that have not been received
  std::uint32_t next_tag_ = 1;
  std::vector<Packet> dropped_;  // what holds may be the user's, and goes when no lock is held
  std::vector<Rank> ranks_;
  std::unique_ptr<Assemblies> assemblies_;
  std::function<void(int rank, const std::string& why)> on_end_;
  std::vector<std::size_t> candidates_;  // strands that can go on
};

// The world that the calling thread belongs to.
World& world();

}  // namespace sim
