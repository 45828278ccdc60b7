// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/quarantine.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rankview::farm {

Quarantine::Decision Quarantine::ended(int id, End end, Time now) {
  Decision decision;
  const auto found = engines_.find(id);
  if (found == engines_.end()) {
    decision.reported.push_back(std::move(end));
    return decision;
  }
  Engine& engine = found->second;
  if (end.job.failed_on >= 0) {
    const auto suspect = engines_.find(end.job.failed_on);
    if (suspect != engines_.end()) ended_elsewhere(suspect->second, end, now, decision);
    decision.reported.push_back(std::move(end));
    return decision;
  }
  if (end.succeeded()) {
    report_held(engine, decision);
    if (engine.tried_again(now)) {
      decision.news.push_back("engine " + std::to_string(id) + " on " + end.host + " works again: " + end.command);
      trust(engine);
      engine.pause = first_pause;
    }
    decision.reported.push_back(std::move(end));
    return decision;
  }
  if (end.cause != Cause::itself || end.took > at_once) {
    decision.reported.push_back(std::move(end));
    return decision;
  }
  if (engine.standing != Standing::trusted) {
    if (engine.tried_again(now)) set_aside(engine, now);
    send_elsewhere(id, std::move(end.job), decision);
    return decision;
  }
  if (engine.immune != 0 || !any_other_trusted(id)) {
    engine.immune -= engine.immune != 0 ? 1 : 0;
    report_held(engine, decision);
    decision.reported.push_back(std::move(end));
    return decision;
  }
  if (!is_new(engine.held, end)) {
    decision.reported.push_back(std::move(end));
    return decision;
  }
  if (engine.held.empty()) engine.held_since = now;
  engine.held.push_back(std::move(end));
  if (engine.held.size() < suspicious) return decision;
  engine.standing = Standing::suspect;
  ++distrusted_;
  for (End& held : std::exchange(engine.held, {})) send_elsewhere(id, std::move(held.job), decision);
  return decision;
}

// One of those that have failed on the suspect has ended on another engine.
void Quarantine::ended_elsewhere(Engine& suspect, const End& end, Time now, Decision& decision) {
  if (suspect.elsewhere != 0) --suspect.elsewhere;
  if (suspect.standing != Standing::suspect) return;
  if (end.succeeded()) {
    decision.news.push_back("engine " + std::to_string(end.job.failed_on) + " is set aside for " + std::to_string(suspect.pause.count()) +
                            " s: commands failed there one after the other, and this one has succeeded on " + end.host + ": " +
                            end.command);
    set_aside(suspect, now);
  } else if (suspect.elsewhere == 0) {
    trust(suspect);
    suspect.immune = std::exchange(suspect.next_immunity, suspect.next_immunity * 2);
  }
}

void Quarantine::trust(Engine& engine) {
  engine.standing = Standing::trusted;
  --distrusted_;
}

void Quarantine::send_elsewhere(int engine, Job job, Decision& decision) {
  job.failed_on = engine;
  ++engines_[engine].elsewhere;
  decision.elsewhere.push_back(std::move(job));
}

void Quarantine::report_held(Engine& engine, Decision& decision) {
  std::move(engine.held.begin(), engine.held.end(), std::back_inserter(decision.reported));
  engine.held.clear();
}

void Quarantine::set_aside(Engine& engine, Time now) {
  engine.standing = Standing::aside;
  engine.until = now + engine.pause;
  engine.pause *= 2;
}

// The same command again says nothing new of its host.
bool Quarantine::is_new(const std::vector<End>& held, const End& end) {
  return std::none_of(held.begin(), held.end(), [&end](const End& other) { return other.command == end.command; });
}

bool Quarantine::any_other_trusted(int engine) const {
  return std::any_of(engines_.begin(), engines_.end(),
                     [engine](const auto& each) { return each.first != engine && each.second.standing == Standing::trusted; });
}

bool Quarantine::takes_when_some_do_not(int id, bool busy, Time now) const {
  const Engine& engine = engines_.at(id);
  if (engine.standing == Standing::trusted || !any_other_trusted(id)) return true;
  return engine.tried_again(now) && !busy;
}

std::vector<End> Quarantine::release() {
  Decision decision;
  for (auto& [id, engine] : engines_) report_held(engine, decision);
  return std::move(decision.reported);
}

std::vector<End> Quarantine::release(Time now) {
  Decision decision;
  for (auto& [id, engine] : engines_) {
    if (!engine.held.empty() && now - engine.held_since > held_for) report_held(engine, decision);
  }
  return std::move(decision.reported);
}

std::vector<End> Quarantine::forget(int engine) {
  auto gone = engines_.extract(engine);
  if (!gone.empty() && gone.mapped().standing != Standing::trusted) --distrusted_;
  return gone.empty() ? std::vector<End>() : std::move(gone.mapped().held);
}

}  // namespace rankview::farm
