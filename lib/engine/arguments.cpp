// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"
#include "transport/process.hpp"

#include <rankview/detail/kept_result.hpp>
#include <rankview/errors.hpp>

#include <mutex>
#include <new>
#include <string>
#include <utility>

// Results as arguments, and what is attached to messages.
namespace rankview::engine {

// What a task reads of what another engine delivers. For the task's own thread.
class Engine::Arrival final : public detail::Delivered {
 public:
  Arrival(Engine& engine, std::shared_ptr<InMessage> message, std::span<const std::byte> value)
      : engine_(engine), message_(std::move(message)), claims_(message_->attachment_sizes), value_(value, &claims_) {}
  ~Arrival() override {
    const std::lock_guard held(engine_.lock_);
    engine_.drop(*message_);
    message_.reset();
  }

  detail::Reader& value() override { return value_; }
  void receive() override {
    const std::lock_guard held(engine_.lock_);
    if (!message_->received) engine_.receive(*message_, claims_.places());
  }

 private:
  Engine& engine_;
  std::shared_ptr<InMessage> message_;
  detail::Claims claims_;
  detail::Reader value_;
};

std::shared_ptr<const void> Engine::cached(std::uint64_t call, const std::type_info& type) const {
  const ResultCache::Entry* const found = cache_.find(call);
  return found == nullptr || *found->type != type ? nullptr : found->value;
}

// To another engine, whether the result is still here or not.
void Engine::deliver(const wire::Forward& forward) {
  transport::Message message = outbox_.endpoint().message();
  if (const ResultCache::Entry* const found = cache_.find(forward.call)) {
    wire::write(message, wire::Delivery{forward.ticket, 1, found->encoded});
    message.attachments = found->attachments;
    message.kept.push_back(found->value);
  } else {
    wire::write(message, wire::Delivery{forward.ticket, 0, {}});
  }
  outbox_.endpoint().send(static_cast<int>(forward.to) + 1, std::move(message));
}

std::unique_ptr<detail::Delivered> Engine::take_delivery(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  const Deliveries::Delivery& awaited = deliveries_.at(ticket);
  const Loop::WaitingFor waiting(loop_, "an argument that another engine has");
  transport::Idle idle(loop_.spin());
  if (awaited.message == nullptr) outbox_.flush();
  while (awaited.message == nullptr) {
    if (end_.client_failed())
      throw TaskAborted("the client has failed (" + end_->reason + "), and the task has not got all of its arguments yet");
    poll_or_nap(idle);
  }
  if (!awaited.found) throw detail::ResultGone();
  auto arrival = std::make_unique<Arrival>(*this, awaited.message, awaited.value);
  deliveries_.take(ticket);
  return arrival;
}

void Engine::receive(InMessage& message, const std::vector<detail::Claims::Place>& places) {
  message.received = true;
  if (lost(message)) throw detail::ResultGone();
  const auto transfer = outbox_.endpoint().receive(message.frame, places);
  if (transfer->done()) return;
  const Loop::WaitingFor waiting(loop_, "what is attached to a message");
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!transfer->done()) {
    if (lost(message)) throw detail::ResultGone();
    poll_or_nap(idle);
  }
}

// What is attached to it, if anything is, is not needed. Does not wait.
void Engine::drop(InMessage& message) {
  if (message.received || lost(message)) return;
  try {
    deliveries_.receive_unwanted(outbox_.endpoint(), message);
  } catch (const std::bad_alloc&) {
    transport::end_process(
        1, "engine " + std::to_string(settings_.id) + " has no memory to receive what was sent to a task that does not run");
  }
}

void Engine::drop(const Deliveries::Messages& messages) {
  for (const auto& message : messages) drop(*message);
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {

std::shared_ptr<const void> kept_result(std::uint64_t call, const std::type_info& type) {
  const engine::TaskHost* const here = engine::current();
  auto value = here == nullptr ? nullptr : here->cached(call, type);
  if (value == nullptr) throw ResultGone();
  return value;
}

std::unique_ptr<Delivered> await_delivered(std::uint64_t ticket) {
  engine::TaskHost* const here = engine::current();
  if (here == nullptr) throw ResultGone();
  return here->take_delivery(ticket);
}

}  // namespace rankview::detail
