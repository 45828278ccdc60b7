// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/engine.hpp"

#include <rankview/detail/kept_result.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

// Results as arguments: the engine keeps the latest long ones, for tasks here, and delivers them to other engines.
//
// Rank 0 tells the one engine to deliver a result and the other, with the batch whose task it is for, that it will come; both always, so
// that the second can rely on it, and takes it in even if the task does not run.
namespace rankview::engine {
namespace {

// As many bytes are kept at most.
constexpr std::size_t kept_most = std::size_t{128} << 20;

}  // namespace

// What a task reads of what another engine delivers. For the task's own thread.
class Engine::Arrival final : public detail::Delivered {
 public:
  Arrival(Engine& engine, std::shared_ptr<Pending> message, std::span<const std::byte> value)
      : engine_(engine), message_(std::move(message)), claims_(message_->attachment_sizes), value_(value, &claims_) {}
  ~Arrival() override {
    const std::lock_guard held(engine_.baton_);
    if (!message_->received) engine_.drop(*message_);
  }

  detail::Reader& value() override { return value_; }
  void receive() override {
    const std::lock_guard held(engine_.baton_);
    if (!message_->received) engine_.receive(*message_, claims_.places());
  }

 private:
  Engine& engine_;
  std::shared_ptr<Pending> message_;
  detail::Claims claims_;
  detail::Reader value_;
};

// What is in scratch_ is the whole result of a call. If it is long, it is kept until later ones need the room.
void Engine::keep(std::uint64_t call) {
  std::size_t bytes = 0;
  for (const detail::Attachment& attachment : scratch_.attachments) bytes += attachment.size;
  if (bytes == 0 || bytes > kept_most || scratch_.kept.size() != 1 || scratch_type_ == nullptr) return;
  const auto encoded = scratch_.bytes.bytes();
  kept_.push_back({call, scratch_type_, scratch_.kept.front(), bytes, {encoded.begin(), encoded.end()}, scratch_.attachments});
  kept_bytes_ += bytes;
  while (kept_bytes_ > kept_most) {
    kept_bytes_ -= kept_.front().bytes;
    kept_.pop_front();
  }
}

// Null if it is not there any more.
const Engine::Kept* Engine::find_kept(std::uint64_t call) const {
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [call](const Kept& kept) { return kept.call == call; });
  return found == kept_.rend() ? nullptr : &*found;
}

std::shared_ptr<const void> Engine::kept(std::uint64_t call, const std::type_info& type) const {
  const Kept* const found = find_kept(call);
  return found == nullptr || *found->type != type ? nullptr : found->value;
}

void Engine::deliver(const wire::Forward& forward) {
  transport::Message message = endpoint_->message();
  if (const Kept* const found = find_kept(forward.call); found != nullptr) {
    wire::write(message, wire::Delivery{forward.ticket, 1, found->encoded});
    message.attachments = found->attachments;
    message.kept.push_back(found->value);
  } else {
    wire::write(message, wire::Delivery{forward.ticket, 0, {}});
  }
  endpoint_->send(static_cast<int>(forward.to) + 1, std::move(message));
}

// The engine has been given the batch.
void Engine::expect(const wire::Batch& batch) {
  for (std::uint64_t i = 0; i < batch.tickets; ++i) deliveries_.try_emplace(batch.first_ticket + i);
}

// The batch is over, or will not be run: what was for it and has not been taken is dropped, also when it comes later.
void Engine::expect_no_more(const wire::Batch& batch) {
  for (std::uint64_t i = 0; i < batch.tickets; ++i) {
    const auto delivery = deliveries_.find(batch.first_ticket + i);
    if (delivery == deliveries_.end()) continue;
    delivery->second.wanted = false;
    drop_unwanted(delivery);
  }
}

void Engine::on_delivery(const wire::Delivery& record, const std::shared_ptr<Pending>& message) {
  const auto delivery = deliveries_.try_emplace(record.ticket).first;
  delivery->second.message = message;
  delivery->second.found = record.found != 0;
  delivery->second.value = record.value;
  drop_unwanted(delivery);
}

void Engine::drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery) {
  if (delivery->second.wanted || delivery->second.message == nullptr) return;
  if (!delivery->second.message->received) drop(*delivery->second.message);
  deliveries_.erase(delivery);
}

// Whether something is still on its way here that is not wanted: at the end of a run, all of that run's. What is wanted then is the next
// run's.
bool Engine::dropping() {
  std::erase_if(dropping_, [](const auto& transfer) { return transfer->done(); });
  return !dropping_.empty() || std::any_of(deliveries_.begin(), deliveries_.end(), [](const auto& known) { return !known.second.wanted; });
}

std::unique_ptr<detail::Delivered> Engine::take_delivery(std::uint64_t ticket) {
  const std::lock_guard held(baton_);
  const Delivery& awaited = deliveries_.at(ticket);
  transport::Idle idle(spin_);
  if (awaited.message == nullptr) flush();
  while (awaited.message == nullptr) {
    if (end_ && end_->ending == wire::Ending::failed)
      throw TaskAborted("the client has failed (" + end_->reason + "), and the task has not got all of its arguments yet");
    poll_or_nap(idle);
  }
  if (!awaited.found) throw detail::ResultGone();
  auto arrival = std::make_unique<Arrival>(*this, awaited.message, awaited.value);
  deliveries_.erase(ticket);
  return arrival;
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {

std::shared_ptr<const void> kept_result(std::uint64_t call, const std::type_info& type) {
  const engine::Engine* const here = engine::current();
  auto value = here == nullptr ? nullptr : here->kept(call, type);
  if (value == nullptr) throw ResultGone();
  return value;
}

std::unique_ptr<Delivered> await_delivered(std::uint64_t ticket) {
  engine::Engine* const here = engine::current();
  if (here == nullptr) throw ResultGone();
  return here->take_delivery(ticket);
}

}  // namespace rankview::detail
