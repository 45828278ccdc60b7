// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/hub_recorder.hpp"

#include "controller/call_life.hpp"
#include "controller/task_errors.hpp"

#include <utility>

namespace rankview::inline abi_0_1 {

void HubRecorder::run_begins(const std::vector<controller::EngineInfo>& engines) {
  hub::RunBegan event{clock_.now(), {}};
  for (const controller::EngineInfo& each : engines) event.engines.push_back({each.rank, each.host, each.pid, each.slots});
  database_->add(std::move(event), 0);
  // However soon it is killed, it is known that there was one. Nothing runs yet that would wait.
  database_->flush();
}

void HubRecorder::submitted(const detail::Call& call) {
  const detail::CallLife& life = call.life();
  database_->add(hub::CallMade{call.id, life.more->label, call.function.code, life.items.size(), life.submitted}, 0);
}

void HubRecorder::retried(const detail::Call& call, std::uint64_t item) {
  const detail::ItemRecord& record = call.life().items[item];
  hub::TaskRetried event{call.id, item, record.attempts, record.engine, clock_.now(), {}};
  const auto& attempts = *call.life().more->attempts;
  const auto found = attempts.find(item);
  if (found != attempts.end() && !found->second.errors.empty()) event.error = found->second.errors.back();
  database_->add(std::move(event), 1);
}

void HubRecorder::ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) {
  const detail::CallLife& life = call.life();
  hub::TasksEnded event;
  event.call = call.id;
  event.first = begin;
  event.records.assign(life.items.begin() + begin, life.items.begin() + end);
  const auto& errors = *life.errors;
  if (!errors.empty()) {
    const bool asked = !life.more->told->empty();
    for (auto at = errors.lower_bound(begin), last = errors.lower_bound(end); at != last; ++at) {
      event.errors.push_back(asked ? hub::TaskError{at->first, nullptr, detail::text_of(call, at->second)}
                                   : hub::TaskError{at->first, at->second});
    }
  }
  database_->add(std::move(event), end - begin);
}

void HubRecorder::engine_lost(const LostEngine& lost) {
  database_->add(hub::EngineLost{lost.engine, clock_.now(), (lost.aside ? "set aside: " : "died: ") + lost.seen}, 0);
}

void HubRecorder::over(const detail::Call& call) { database_->add(hub::CallOver{call.id, clock_.now()}, 0); }

void HubRecorder::run_ends(bool failed, const std::string& reason) { database_->add(hub::RunEnded{clock_.now(), failed, reason}, 0); }

}  // namespace rankview
