// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/inbox.hpp"

#include "marks/mark.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace rankview::engine {

std::shared_ptr<InMessage> Inbox::take_in(transport::Frame& frame) {
  if (last_ == nullptr || last_.use_count() > 1) {
    last_ = {new InMessage, [this](InMessage* message) {
               leave(message->local);
               delete message;
             }};
  }
  InMessage& message = *last_;
  leave(message.local);
  message.bytes.clear();
  message.frame = {};
  if (frame.local != nullptr) {
    const auto offset = static_cast<std::size_t>(frame.records.data() - frame.local->bytes.data());
    message.local = std::move(*frame.local);
    frame.records = message.local.bytes.bytes().subspan(offset);
    message.frame.local = &message.local;
  } else if (frame.owned != nullptr) {
    message.bytes = std::move(*frame.owned);
    frame.records = message.bytes.bytes().first(frame.records.size());
  } else {
    message.bytes.append(frame.records.data(), frame.records.size());
    frame.records = message.bytes.bytes();
  }
  message.attachment_sizes.assign(frame.attachment_sizes.begin(), frame.attachment_sizes.end());
  message.received = message.attachment_sizes.empty();
  message.frame.peer = frame.peer;
  message.frame.tag = frame.tag;
  message.frame.attachment_sizes = message.attachment_sizes;
  return last_;
}

void Inbox::leave(detail::Writer& local) {
  left_.insert(left_.end(), std::make_move_iterator(local.kept.begin()), std::make_move_iterator(local.kept.end()));
  local.kept.clear();
}

Inbox::Command Inbox::pop() {
  Command next(std::move(commands_.front()));
  commands_.pop_front();
  return next;
}

std::vector<Inbox::Command> Inbox::take_batches() {
  std::vector<Command> taken;
  std::deque<Command> others;
  for (Command& command : commands_) {
    const auto* const batch = std::get_if<wire::Batch>(&command.what);
    if (batch != nullptr && batch->team == 0) {
      taken.push_back(std::move(command));
    } else {
      others.push_back(std::move(command));
    }
  }
  commands_ = std::move(others);
  return taken;
}

wire::Returned Inbox::give_back(const wire::Recall& recall, ItemRun& running) {
  wire::Returned returned;
  // Cuts [first, end) to what comes before the recalled, if that is its end.
  const auto cut = [&](const wire::Items& wanted, std::uint64_t first, std::uint64_t& end) {
    const std::uint64_t from = std::max(first, wanted.first);
    if (from >= end || wanted.first + wanted.count < end || (wanted.whole != 0 && (from != wanted.first || from + wanted.count != end)))
      return;
    returned.items.push_back({wanted.call, from, end - from, wanted.whole});
    end = from;
  };
  for (const wire::Items& wanted : recall.items) {
    for (ItemRun* run = &running; run != nullptr; run = run->waiting) {
      if (wanted.call != run->call || !run->movable) continue;
      RANKVIEW_MARK(given_back_by_running_batch);
      cut(wanted, run->item + 1, run->end);
    }
    for (Command& command : commands_) {
      auto* const batch = std::get_if<wire::Batch>(&command.what);
      if (batch == nullptr || batch->call != wanted.call || !batch->movable || !command.message->attachment_sizes.empty()) continue;
      std::uint64_t end = batch->first + batch->count;
      cut(wanted, batch->first, end);
      batch->count = end - batch->first;
    }
  }
  std::erase_if(commands_, [](const Command& command) {
    const auto* const batch = std::get_if<wire::Batch>(&command.what);
    return batch != nullptr && batch->count == 0;
  });
  return returned;
}

wire::Returned Inbox::give_back_all(ItemRun& running) {
  wire::Recall everything;
  everything.items.push_back({running.call, running.item + 1, running.end - running.item - 1, 0});
  for (const Command& command : commands_) {
    if (const auto* const batch = std::get_if<wire::Batch>(&command.what))
      everything.items.push_back({batch->call, batch->first, batch->count, 0});
  }
  return give_back(everything, running);
}

bool Inbox::any_stop(std::uint64_t call, std::uint64_t item, std::uint64_t number) const {
  return std::any_of(stops_.begin(), stops_.end(), [=](const auto& each) {
    const auto& [stop, pushed] = each;
    return stop.call == call && stop.first <= item && item - stop.first < stop.count && number <= pushed;
  });
}

}  // namespace rankview::engine
