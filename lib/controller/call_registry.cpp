// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/call_registry.hpp"

#include "controller/call_life.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace rankview::controller {
namespace {

std::uint16_t new_run() {
  static std::atomic<std::uint16_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

CallRegistry::CallRegistry() : run_(new_run()) {}

void CallRegistry::enlist(const std::shared_ptr<detail::Call>& call) {
  call->id = next_number_++;
  call->life().slot = &calls_.add(call->id, *call);
  call->life().slot->run = run_;
  call->life().self = call;
  call->life().in_flight = true;
  ++in_flight_;
}

std::shared_ptr<detail::Call> CallRegistry::end(detail::Call& call) {
  call.life().in_flight = false;
  --in_flight_;
  // Whoever is still making it may be about to keep it.
  const bool wanted = call.life().has_handles || !call.life().laid_out;
  return wanted && !call.life().abandoned ? nullptr : drop(call);
}

std::shared_ptr<detail::Call> CallRegistry::drop(detail::Call& call) {
  if (call.life().slot == nullptr) return nullptr;
  calls_.remove(call.id);
  call.life().slot = nullptr;
  return std::move(call.life().self);
}

detail::Call* CallRegistry::find(std::uint64_t number) const {
  detail::Call* const call = calls_.find(number);
  return call != nullptr && call->life().in_flight ? call : nullptr;
}

std::vector<std::shared_ptr<detail::Call>> CallRegistry::unfinished() const {
  std::vector<std::shared_ptr<detail::Call>> calls;
  calls.reserve(in_flight_);
  for_each([&calls](const detail::Call& call) { calls.push_back(call.life().self); });
  std::sort(calls.begin(), calls.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return calls;
}

}  // namespace rankview::controller
