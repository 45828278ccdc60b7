// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "engine/item_run.hpp"
#include "transport/endpoint.hpp"
#include "wire/messages.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace rankview::engine {

// A message of which something is still needed: a batch that has not been run to its end, a callable's state, a delivery.
struct InMessage {
  detail::Buffer bytes;
  std::vector<std::uint64_t> attachment_sizes;
  bool received = true;  // what is attached, if anything is
  transport::Frame frame;
  detail::Writer local;
};

// What rank 0 wants done and has not been begun, and what of it is not wanted any more.
class Inbox {
 public:
  struct Command {
    std::variant<wire::Batch, wire::Join, wire::Disband> what;
    std::shared_ptr<InMessage> message;  // of a batch
    std::uint64_t number = 0;            // they are numbered as they come
  };

  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Takes over what a frame holds. The records are those of the message from here on. Messages must not outlive this.
  std::shared_ptr<InMessage> take_in(transport::Frame& frame);
  // What belonged to messages from this process that nobody needs any more: the user's, to be destroyed where no lock is held.
  [[nodiscard]] bool anything_left() const { return !left_.empty(); }
  std::vector<std::shared_ptr<const void>> take_left() { return std::exchange(left_, {}); }

  void push(Command command) {
    command.number = ++pushed_;
    commands_.push_back(std::move(command));
  }
  [[nodiscard]] bool empty() const { return commands_.empty(); }
  [[nodiscard]] std::size_t size() const { return commands_.size(); }
  // The next one; there has to be one.
  [[nodiscard]] const Command& front() const { return commands_.front(); }
  Command pop();
  // Takes out all batches, but for those that others would miss this engine in.
  std::vector<Command> take_batches();

  // Takes out what rank 0 wants back and has not begun, also of batches that have: that of `running`, and those that wait behind it. What
  // engines run together is never asked for; what has attachments stays, since these have arrived here.
  wire::Returned give_back(const wire::Recall& recall, ItemRun& running);
  // Everything that others may run.
  wire::Returned give_back_all(ItemRun& running);

  // Items that are not wanted any more; the engine may be given some of them anew, in a command behind this.
  void stop(const wire::Stop& stop) { stops_.emplace_back(stop, pushed_); }
  // `number`: of the command that wants the item run.
  [[nodiscard]] bool stopped(std::uint64_t call, std::uint64_t item, std::uint64_t number) const {
    return !stops_.empty() && any_stop(call, item, number);
  }
  // All that was here when they were stopped is over.
  void forget_stops() { stops_.clear(); }

 private:
  void leave(detail::Writer& local);
  [[nodiscard]] bool any_stop(std::uint64_t call, std::uint64_t item, std::uint64_t number) const;

  std::vector<std::shared_ptr<const void>> left_;
  std::deque<Command> commands_;
  std::uint64_t pushed_ = 0;
  std::vector<std::pair<wire::Stop, std::uint64_t>> stops_;  // each with how many commands had come
  std::shared_ptr<InMessage> last_;                          // used again when nobody needs it any more
};

}  // namespace rankview::engine
