// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/deliveries.hpp"

#include <algorithm>
#include <utility>

namespace rankview::engine {

void Deliveries::expect(const wire::Batch& batch, const std::set<int>& lost) {
  for (std::size_t i = 0; i < batch.holders.size(); ++i) {
    Delivery& delivery = known_.try_emplace(batch.first_ticket + i).first->second;
    delivery.from = batch.holders[i];
    if (lost.contains(delivery.from)) end_without(delivery);
  }
}

// Nothing comes.
void Deliveries::end_without(Delivery& delivery) {
  if (delivery.message != nullptr) return;
  delivery.message = std::make_shared<InMessage>();
  delivery.found = false;
}

Deliveries::Messages Deliveries::forget(int engine) {
  unwanted_.forget(engine + 1);
  Messages dropped;
  for (auto delivery = known_.begin(); delivery != known_.end();) {
    const auto each = delivery++;
    if (each->second.from != engine) continue;
    end_without(each->second);
    drop_unwanted(each, dropped);
  }
  return dropped;
}

Deliveries::Messages Deliveries::expect_no_more(const wire::Batch& batch) {
  Messages dropped;
  for (std::size_t i = 0; i < batch.holders.size(); ++i) {
    const auto delivery = known_.find(batch.first_ticket + i);
    if (delivery == known_.end()) continue;
    delivery->second.wanted = false;
    drop_unwanted(delivery, dropped);
  }
  return dropped;
}

Deliveries::Messages Deliveries::arrived(const wire::Delivery& record, const std::shared_ptr<InMessage>& message) {
  Messages dropped;
  const auto delivery = known_.try_emplace(record.ticket).first;
  delivery->second.message = message;
  delivery->second.found = record.found != 0;
  delivery->second.value = record.value;
  drop_unwanted(delivery, dropped);
  return dropped;
}

void Deliveries::drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery, Messages& dropped) {
  if (delivery->second.wanted || delivery->second.message == nullptr) return;
  dropped.push_back(std::move(delivery->second.message));
  known_.erase(delivery);
}

bool Deliveries::any_unwanted() const {
  return std::any_of(known_.begin(), known_.end(), [](const auto& known) { return !known.second.wanted; });
}

void UnwantedAttachments::receive(transport::Endpoint& endpoint, InMessage& message) {
  if (std::exchange(message.received, true)) return;
  transfers_.emplace_back(message.frame.peer, endpoint.receive(message.frame, {}));
}

void UnwantedAttachments::forget(int peer) {
  std::erase_if(transfers_, [peer](const auto& transfer) { return transfer.first == peer; });
}

bool UnwantedAttachments::any_left() {
  std::erase_if(transfers_, [](const auto& transfer) { return transfer.second->done(); });
  return !transfers_.empty();
}

}  // namespace rankview::engine
