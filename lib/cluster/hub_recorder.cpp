// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/hub_recorder.hpp"

#include "controller/call_life.hpp"
#include "controller/items.hpp"
#include "controller/task_errors.hpp"
#include "wire/shipped_code.hpp"

#include <utility>

namespace rankview::inline abi_0_1 {
namespace {

// They are told together, until they are so long.
constexpr std::size_t much_kept = std::size_t{64} * 1024;
// Of one task; the database cannot have more in a place.
constexpr std::size_t most_of_a_task = 900'000'000;

hub::KeptCode kept_code(const void* place, const detail::CodeAddress& address) { return {place, address.module, address.offset}; }

// The arguments of an item as the table `kept` has them, behind what there is; false if they are not there, or mean nothing elsewhere.
bool add_arguments(const detail::Call& call, std::uint64_t item, std::vector<std::byte>& to) {
  const detail::CallLife& life = call.life();
  const detail::Deferred& deferred = life.more->deferred;
  if (life.blocks.empty() || (deferred.encode && !deferred.by_value)) return false;
  const detail::ArgumentBlock& block = *detail::block_of(call, item);
  if (block.data.bytes.size() == 0) return false;
  const std::uint64_t place = call.same_arguments ? 0 : item;
  auto bytes = block.items(place, place + 1);
  if (block.stride == 0) bytes = bytes.subspan(sizeof(std::uint64_t));
  std::size_t size = bytes.size();
  for (const detail::Attachment& each : block.data.attachments) size += each.size;
  if (size > most_of_a_task) return false;
  const auto add = [&to](std::span<const std::byte> more) { to.insert(to.end(), more.begin(), more.end()); };
  const auto add_number = [&add](std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); };
  add_number(block.data.attachments.size());
  for (const detail::Attachment& each : block.data.attachments) add_number(each.size);
  add(bytes);
  for (const detail::Attachment& each : block.data.attachments) add({each.data, each.size});
  return true;
}

}  // namespace

void HubRecorder::run_begins(const std::vector<controller::EngineInfo>& engines) {
  hub::RunBegan event{clock_.now(), {}};
  for (const controller::EngineInfo& each : engines) event.engines.push_back({each.rank, each.host, each.pid, each.slots});
  database_->add(std::move(event), 0);
  // However soon it is killed, it is known that there was one. Nothing runs yet that would wait.
  database_->flush();
}

void HubRecorder::submitted(const detail::Call& call) {
  const detail::CallLife& life = call.life();
  hub::CallMade event{call.id, life.more->label, call.function.code, {}, life.items.size(), life.submitted};
  const detail::Thunk* const thunk = call.function.thunk;
  if (event.code == nullptr && thunk != nullptr && thunk->callable != nullptr) event.callable = thunk->callable->name();
  database_->add(std::move(event), 0);
}

void HubRecorder::retried(const detail::Call& call, std::uint64_t item) {
  const detail::ItemRecord& record = call.life().items[item];
  hub::TaskRetried event{call.id, item, record.attempts, record.engine, clock_.now(), {}};
  const auto& attempts = *call.life().more->attempts;
  const auto found = attempts.find(item);
  if (found != attempts.end() && !found->second.errors.empty()) event.error = found->second.errors.back();
  database_->add(std::move(event), 1);
}

void HubRecorder::ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) {
  if (keep_ == Keep::none || (value != nullptr && keep_ != Keep::all) || !detail::can_be_kept(call)) return;
  if (kept_.call != call.id || kept_.bytes.size() > much_kept) flush_kept();
  const std::size_t before = kept_.bytes.size();
  if (!add_arguments(call, item, kept_.bytes)) return;
  tell_of(call);
  hub::TasksKept::Task task{item, call.life().items[item].engine, kept_.bytes.size() - before};
  if (value != nullptr && value->size() <= most_of_a_task) {
    kept_.bytes.insert(kept_.bytes.end(), value->begin(), value->end());
    task.value = value->size();
    task.has_value = true;
  }
  kept_.call = call.id;
  kept_.tasks.push_back(task);
}

void HubRecorder::tell_of(const detail::Call& call) {
  if (!told_code_.insert(call.id).second) return;
  const detail::ShippedCode& code = *call.life().code;
  const detail::Terms& terms = *call.life().terms;
  const auto state = call.function.object->bytes.bytes();
  hub::CallKept event;
  event.call = call.id;
  event.thunk = kept_code(call.function.thunk, code.thunk);
  event.function = kept_code(call.function.code, code.function);
  event.state.assign(state.begin(), state.end());
  event.result = call.function.thunk->result->name();
  event.direct = call.spread != detail::Spread::pool;
  event.isolation = static_cast<int>(terms.isolation);
  event.timeout = terms.timeout;
  event.memory_limit = terms.memory_limit;
  event.slots = terms.slots;
  database_->add(std::move(event), 0);
}

void HubRecorder::flush_kept() {
  if (!kept_.tasks.empty()) database_->add(std::exchange(kept_, {}), 0);
}

void HubRecorder::printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) {
  database_->add(hub::TaskPrinted{call.id, item, call.life().items[item].attempts, engine, texts.out, texts.err}, 0);
}

void HubRecorder::ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) {
  flush_kept();
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

void HubRecorder::over(const detail::Call& call) {
  told_code_.erase(call.id);
  database_->add(hub::CallOver{call.id, clock_.now()}, 0);
}

void HubRecorder::run_ends(bool failed, const std::string& reason) { database_->add(hub::RunEnded{clock_.now(), failed, reason}, 0); }

}  // namespace rankview
