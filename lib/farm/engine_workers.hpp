// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "farm/quarantine.hpp"
#include "farm/slot_pool.hpp"
#include "farm/workers.hpp"

#include <rankview/client.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rankview::farm {

// A command on its way to an engine, and how it ended on the way back.
struct SentJob {
  std::uint64_t number = 0;
  std::uint64_t place = 0;
  int attempt = 1;
  std::string text;
  std::vector<std::uint64_t> slots;
  std::string results;
  unsigned cores = 1;
  std::uint64_t memory = 0;
  unsigned gpus = 0;
  std::int64_t timeout = 0;  // nanoseconds
};
struct SentEnd {
  std::uint64_t place = 0;
  int cause = 0;
  int status = 0;
  int signal = 0;
  std::string trouble;
  std::int64_t started = 0;
  std::int64_t took = 0;
  std::uint64_t memory = 0;
  unsigned slot = 0;
  std::string out;
  std::string err;
  std::uint64_t out_size = 0;
};
// What an engine is told, to which it answers with what has ended.
struct Exchange {
  std::vector<SentJob> jobs;
  std::int64_t time_limit = 0;  // nanoseconds
  bool kill = false;
};

// Runs commands on engines, each of which has slots of its own. An engine that dies, or does not answer, has its commands run by others;
// should it answer later, what has become of them there is of no interest.
//
// Each engine runs one task after the other, `exchange`: it is handed commands, waits until one has ended, for a short while at most, and
// gives those that have.
class EngineWorkers final : public Workers {
 public:
  // `slots_each`: 0 for as many as an engine has cores. Throws Error.
  EngineWorkers(Client client, const SlotTerms& terms, std::size_t slots_each, std::function<void(const std::string&)> complain);
  ~EngineWorkers() override;

  [[nodiscard]] std::size_t slots() const override;
  [[nodiscard]] std::size_t wanted(bool ahead) const override;
  void start(Job job) override;
  std::vector<Job> recall() override;
  std::vector<End> take_ended() override { return std::exchange(ended_, {}); }
  void wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) override;
  void set_time_limit(std::chrono::nanoseconds limit) override { time_limit_ = limit; }
  void kill() override;

 private:
  struct Engine {
    int id = 0;
    std::string host;
    std::size_t slots = 1;     // cores; 0 when it has died
    std::uint64_t memory = 0;  // bytes that its host has, 0 for unknown
    std::size_t gpus = 0;
    std::size_t load = 0;  // cores of the jobs that it has, or is to be sent
    std::vector<Job> to_send;
    std::map<std::uint64_t, Job> in_hand;  // that it has, by place
    std::optional<AsyncResult<std::vector<SentEnd>>> exchange;
    bool kill_told = false;
    bool aside = false;  // it does not answer

    [[nodiscard]] bool takes_more() const { return slots != 0 && !aside; }
    [[nodiscard]] bool has_any() const { return !to_send.empty() || !in_hand.empty(); }
  };

  [[nodiscard]] bool runs_short_ones() const;
  [[nodiscard]] std::size_t room(const Engine& engine, bool ahead) const;
  [[nodiscard]] Engine* choose(const Job& job);
  void send();
  void send(Engine& engine);
  void receive();
  void receive(Engine& engine);
  void bury();
  void note(Engine& engine, const SentEnd& sent);
  void report(std::vector<End> ends);
  void look_for_silent();
  [[nodiscard]] std::string why_nowhere(const Needs& needs) const;
  void lose(Engine& engine, const std::string& why);
  void give_away(Engine& engine, const std::string& why);
  void end_unsent(Job job, Cause cause, const std::string& trouble);

  Client client_;
  std::function<void(const std::string&)> complain_;  // is told a line
  std::vector<Engine> engines_;
  std::map<std::uint64_t, int> deaths_;  // of engines that had a command, by its place
  Quarantine quarantine_;
  std::vector<Job> orphans_;  // whose engine has died, or is suspected
  std::vector<End> ended_;
  std::chrono::nanoseconds time_limit_{0};
  std::chrono::nanoseconds usual_{0};  // what commands take
  bool kills_ = false;
  std::chrono::steady_clock::time_point looked_;  // for silent ones
};

}  // namespace rankview::farm
