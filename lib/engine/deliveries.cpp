// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/deliveries.hpp"

#include <algorithm>
#include <utility>

namespace rankview::engine {

void Deliveries::expect(const wire::Batch& batch) {
  for (std::uint64_t i = 0; i < batch.tickets; ++i) known_.try_emplace(batch.first_ticket + i);
}

Deliveries::Messages Deliveries::expect_no_more(const wire::Batch& batch) {
  Messages dropped;
  for (std::uint64_t i = 0; i < batch.tickets; ++i) {
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
  transfers_.push_back(endpoint.receive(message.frame, {}));
}

bool UnwantedAttachments::any_left() {
  std::erase_if(transfers_, [](const auto& transfer) { return transfer->done(); });
  return !transfers_.empty();
}

}  // namespace rankview::engine
