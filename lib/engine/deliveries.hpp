// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/inbox.hpp"
#include "transport/endpoint.hpp"
#include "wire/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace rankview::engine {

// Attachments that are received for nothing, since whoever sends them waits until they are.
class UnwantedAttachments {
 public:
  // Begins to receive those of the message, if nobody has. Throws std::bad_alloc.
  void receive(transport::Endpoint& endpoint, InMessage& message);
  // The peer has died: nothing more comes from it.
  void forget(int peer);
  // Whether some are on their way.
  bool progress() { return !transfers_.empty() && any_left(); }

 private:
  bool any_left();

  // From whom, and what is on its way.
  std::vector<std::pair<int, std::unique_ptr<transport::Transfer>>> transfers_;
};

// What other engines deliver to this one: results that are arguments of tasks here.
//
// Rank 0 tells the one engine to deliver a result and the other, with the batch whose task it is for, that it will come; both always, so
// that the second can rely on it, and takes it in even if the task does not run.
class Deliveries {
 public:
  // Either may be known first: that it is wanted, or the message.
  struct Delivery {
    bool wanted = true;
    int from = -1;                         // the engine that delivers, once that is known
    std::shared_ptr<InMessage> message{};  // null until it is here
    bool found = false;                    // the other engine had the result
    std::span<const std::byte> value{};    // in the message
  };
  using Messages = std::vector<std::shared_ptr<InMessage>>;

  // The engine has been given the batch. `lost`: engines that have died.
  void expect(const wire::Batch& batch, const std::set<int>& lost);
  // The batch is over, or will not be run. Gives the messages that came for it and were not taken; others are not wanted when they come.
  Messages expect_no_more(const wire::Batch& batch);
  // One has come. Gives its message if it is not wanted.
  Messages arrived(const wire::Delivery& record, const std::shared_ptr<InMessage>& message);

  // The engine has died: what has not come from it does not. Gives messages that are not wanted.
  Messages forget(int engine);

  // For the task it is for.
  [[nodiscard]] const Delivery& at(std::uint64_t ticket) const { return known_.at(ticket); }
  void take(std::uint64_t ticket) { known_.erase(ticket); }

  // Begins to receive what is attached to the message for nothing, if nobody has begun. Throws std::bad_alloc.
  void receive_unwanted(transport::Endpoint& endpoint, InMessage& message) { unwanted_.receive(endpoint, message); }
  // Whether some of that is on its way.
  bool progress() { return unwanted_.progress(); }
  // Whether something is still to come that is not wanted.
  [[nodiscard]] bool any_unwanted() const;

 private:
  static void end_without(Delivery& delivery);
  void drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery, Messages& dropped);

  std::map<std::uint64_t, Delivery> known_;  // by ticket, those that have not been taken
  UnwantedAttachments unwanted_;
};

}  // namespace rankview::engine
