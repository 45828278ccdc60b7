// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/engine_workers.hpp"

#include "farm/engine_pool.hpp"

#include <rankview/rankview.hpp>

#include <poll.h>
#include <algorithm>
#include <iterator>
#include <utility>

namespace rankview::farm {
namespace {

// So often descriptors are looked at while engines are waited for.
constexpr std::chrono::milliseconds look_every{2};
// So often it is asked which engines do not answer.
constexpr std::chrono::milliseconds ask_every{200};
// An engine that does not end its commands within this is left to itself.
constexpr std::chrono::seconds end_limit{5};
// Commands that take less are handed out ahead of need. Others could wait behind a long one while another engine has nothing to do.
constexpr std::chrono::milliseconds short_one{100};
// A command that so many engines have died of is not given to another.
constexpr int crash_limit = 3;

}  // namespace

EngineWorkers::EngineWorkers(Client client, const SlotTerms& terms, std::size_t slots_each,
                             std::function<void(const std::string&)> complain)
    : client_(std::move(client)), complain_(std::move(complain)) {
  const std::vector<int> ids = client_.ids();
  const std::vector<EngineHost> hosts = client_[all].apply_sync(describe_engine);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const EngineHost here = share_of(hosts, i);
    Engine engine;
    engine.id = ids[i];
    engine.host = here.host;
    const auto beside = static_cast<std::size_t>(
        std::count_if(hosts.begin(), hosts.end(), [&here](const EngineHost& other) { return !here.bound && other.host == here.host; }));
    engine.slots = slots_each != 0 ? slots_each : std::max<std::size_t>(1, here.cores / std::max<std::size_t>(1, beside));
    engine.memory = here.memory;
    engine.gpus = here.gpus.size();
    client_[engine.id].apply_sync(begin_pool, engine.slots, terms.shell, terms.temporary_directory, terms.captured, here);
    if (terms.suspects_hosts) quarantine_.add(engine.id);
    engines_.push_back(std::move(engine));
  }
}

EngineWorkers::~EngineWorkers() {
  std::vector<AsyncResult<void>> ends;
  for (Engine& engine : engines_) {
    try {
      engine.exchange.reset();
      if (engine.takes_more()) ends.push_back(client_[engine.id].apply(end_pool));
    } catch (...) {
      // It has died meanwhile, and what it had with it.
      continue;
    }
  }
  for (const auto& end : ends) {
    try {
      if (end.wait(end_limit)) end.get();
    } catch (...) {
      continue;
    }
  }
}

std::size_t EngineWorkers::slots() const {
  std::size_t sum = 0;
  for (const Engine& engine : engines_) sum += engine.slots;
  return sum;
}

bool EngineWorkers::runs_short_ones() const { return usual_.count() != 0 && usual_ < short_one; }

std::size_t EngineWorkers::room(const Engine& engine, bool ahead) const {
  if (!engine.takes_more() || !quarantine_.takes(engine.id, engine.has_any(), std::chrono::steady_clock::now())) return 0;
  const std::size_t most = ahead && runs_short_ones() ? 3 * engine.slots + 2 : engine.slots;
  return most - std::min(most, engine.load);
}

std::size_t EngineWorkers::wanted(bool ahead) const {
  std::size_t sum = 0;
  for (const Engine& engine : engines_) sum += room(engine, ahead);
  return sum;
}

// To the one that has least to do for its size.
void EngineWorkers::start(Job job) {
  if (kills_) {
    end_unsent(std::move(job), Cause::killed, "");
    return;
  }
  if (const std::string trouble = why_nowhere(job.needs); !trouble.empty()) {
    end_unsent(std::move(job), Cause::refused, trouble);
    return;
  }
  Engine* const least = choose(job);
  if (least == nullptr) {
    // Perhaps one of them answers again.
    orphans_.push_back(std::move(job));
    return;
  }
  least->load += job.needs.cores;
  least->to_send.push_back(std::move(job));
}

// Null if none takes anything just now.
EngineWorkers::Engine* EngineWorkers::choose(const Job& job) {
  const auto now = std::chrono::steady_clock::now();
  // Better one that is not suspected of anything, and has not failed the job.
  const auto rank = [this, &job, now](const Engine& engine) {
    return (engine.id == job.failed_on ? 2 : 0) + (quarantine_.takes(engine.id, engine.has_any(), now) ? 0 : 1);
  };
  Engine* best = nullptr;
  int best_rank = 0;
  for (Engine& engine : engines_) {
    if (!engine.takes_more() || !too_much(job.needs, engine.slots, engine.memory, engine.gpus).empty()) continue;
    const int own = rank(engine);
    if (best != nullptr && (own > best_rank || (own == best_rank && engine.load * best->slots >= best->load * engine.slots))) continue;
    best = &engine;
    best_rank = own;
  }
  return best;
}

// Nothing if one of the engines could run it, when it has nothing else.
std::string EngineWorkers::why_nowhere(const Needs& needs) const {
  std::string trouble;
  for (const Engine& engine : engines_) {
    trouble = too_much(needs, engine.slots, engine.memory, engine.gpus);
    if (trouble.empty()) break;
  }
  return trouble;
}

// What engines have been sent is theirs.
std::vector<Job> EngineWorkers::recall() {
  std::vector<Job> jobs;
  for (Engine& engine : engines_) {
    for (Job& job : std::exchange(engine.to_send, {})) {
      engine.load -= job.needs.cores;
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

void EngineWorkers::wait(std::span<const int> descriptors, std::optional<std::chrono::milliseconds> limit) {
  std::vector<pollfd> fds;
  for (const int descriptor : descriptors) fds.push_back({descriptor, POLLIN, 0});
  const auto end = std::chrono::steady_clock::now() + limit.value_or(std::chrono::hours(1));
  while (ended_.empty() && std::chrono::steady_clock::now() < end) {
    send();
    const auto busy = std::find_if(engines_.begin(), engines_.end(), [](const Engine& engine) { return engine.exchange.has_value(); });
    // Waiting for one of them makes progress for all.
    if (busy != engines_.end())
      busy->exchange->wait(std::min<std::chrono::nanoseconds>(look_every, end - std::chrono::steady_clock::now()));
    receive();
    if (ended_.empty()) {
      const bool idle = std::none_of(engines_.begin(), engines_.end(), [](const Engine& engine) { return engine.has_any(); });
      report(idle ? quarantine_.release() : quarantine_.release(std::chrono::steady_clock::now()));
    }
    if (::poll(fds.data(), fds.size(), busy == engines_.end() ? static_cast<int>(exchange_limit.count()) : 0) > 0) break;
  }
  send();
}

void EngineWorkers::kill() {
  kills_ = true;
  for (Job& job : std::exchange(orphans_, {})) end_unsent(std::move(job), Cause::killed, "");
  for (Engine& engine : engines_) {
    for (Job& job : std::exchange(engine.to_send, {})) {
      engine.load -= job.needs.cores;
      end_unsent(std::move(job), Cause::killed, "");
    }
  }
}

void EngineWorkers::send() {
  for (Engine& engine : engines_) {
    if (!engine.exchange && !engine.aside && engine.has_any()) send(engine);
  }
}

void EngineWorkers::send(Engine& engine) {
  Exchange told;
  told.time_limit = time_limit_.count();
  told.kill = kills_ && !std::exchange(engine.kill_told, kills_);
  for (Job& job : std::exchange(engine.to_send, {})) {
    told.jobs.push_back({job.number,
                         job.place,
                         job.attempt,
                         job.command.text,
                         {job.command.slots.begin(), job.command.slots.end()},
                         job.results,
                         job.needs.cores,
                         job.needs.memory,
                         job.needs.gpus,
                         job.needs.timeout.count()});
    const std::uint64_t place = job.place;
    engine.in_hand.emplace(place, std::move(job));
  }
  try {
    engine.exchange = client_[engine.id].apply(exchange_on_engine, std::move(told));
  } catch (const std::exception& error) {
    lose(engine, error.what());
  }
}

void EngineWorkers::receive() {
  for (Engine& engine : engines_) {
    if (engine.exchange && engine.exchange->ready()) receive(engine);
  }
  look_for_silent();
  bury();
}

// A host that is gone is no more than silent.
void EngineWorkers::look_for_silent() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < ask_every) return;
  looked_ = now;
  const std::vector<LostEngine> lost = client_.lost();
  for (Engine& engine : engines_) {
    const auto silent =
        std::find_if(lost.begin(), lost.end(), [&engine](const LostEngine& one) { return one.engine == engine.id && one.aside; });
    engine.aside = silent != lost.end();
    if (engine.aside && engine.has_any()) give_away(engine, silent->seen);
  }
}

// What the dead had is for others.
void EngineWorkers::bury() {
  std::erase_if(engines_, [](const Engine& engine) { return engine.slots == 0; });
  if (engines_.empty()) throw Error("all engines have died");
  for (Job& job : std::exchange(orphans_, {})) start(std::move(job));
}

void EngineWorkers::receive(Engine& engine) {
  const auto exchange = *std::exchange(engine.exchange, std::nullopt);
  try {
    for (const SentEnd& sent : exchange.get()) note(engine, sent);
  } catch (const Error& error) {
    lose(engine, error.what());
  }
}

void EngineWorkers::note(Engine& engine, const SentEnd& sent) {
  const auto job = engine.in_hand.find(sent.place);
  if (job == engine.in_hand.end()) return;
  End end;
  end.job = std::move(job->second);
  engine.in_hand.erase(job);
  engine.load -= end.job.needs.cores;
  end.memory = sent.memory;
  end.cause = static_cast<Cause>(sent.cause);
  end.status = sent.status;
  end.signal = sent.signal;
  end.trouble = sent.trouble;
  end.started = sent.started;
  end.took = std::chrono::nanoseconds(sent.took);
  end.slot = sent.slot;
  end.command = with_slot(end.job.command, end.slot);
  end.host = engine.host;
  end.out = end.job.results.empty() ? Captured(sent.out) : Captured::elsewhere(sent.out_size);
  end.err = Captured(sent.err);
  usual_ = usual_.count() == 0 ? end.took : (usual_ * 7 + end.took) / 8;
  Quarantine::Decision decision = quarantine_.ended(engine.id, std::move(end), std::chrono::steady_clock::now());
  for (const std::string& line : decision.news) complain_(line);
  report(std::move(decision.reported));
  for (Job& again : decision.elsewhere) orphans_.push_back(std::move(again));
}

void EngineWorkers::report(std::vector<End> ends) { std::move(ends.begin(), ends.end(), std::back_inserter(ended_)); }

void EngineWorkers::lose(Engine& engine, const std::string& why) {
  engine.slots = 0;
  report(quarantine_.forget(engine.id));
  give_away(engine, why);
}

void EngineWorkers::give_away(Engine& engine, const std::string& why) {
  engine.load = 0;
  for (Job& job : std::exchange(engine.to_send, {})) orphans_.push_back(std::move(job));
  for (auto& [place, job] : std::exchange(engine.in_hand, {})) {
    if (++deaths_[place] == crash_limit) {
      end_unsent(std::move(job), Cause::refused, "the engines that had it were lost, the last of them so: " + why);
    } else {
      orphans_.push_back(std::move(job));
    }
  }
}

void EngineWorkers::end_unsent(Job job, Cause cause, const std::string& trouble) {
  End end;
  end.command = with_slot(job.command, 0);
  end.job = std::move(job);
  end.cause = cause;
  end.status = 255;
  end.trouble = trouble;
  ended_.push_back(std::move(end));
}

}  // namespace rankview::farm
