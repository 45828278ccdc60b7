// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/local_endpoint.hpp"

#include <cstring>

namespace rankview::transport {
namespace {

class Arrived final : public Transfer {
 public:
  bool done() override { return true; }
};

}  // namespace

std::pair<std::unique_ptr<LocalEndpoint>, std::unique_ptr<LocalEndpoint>> LocalEndpoint::pair() {
  auto down = std::make_shared<Pipe>();
  auto up = std::make_shared<Pipe>();
  auto meetings = std::make_shared<Meetings>();
  return {std::unique_ptr<LocalEndpoint>(new LocalEndpoint(up, down, meetings, 1)),
          std::unique_ptr<LocalEndpoint>(new LocalEndpoint(down, up, meetings, 0))};
}

void LocalEndpoint::send(int, Message&& message) {
  {
    const std::lock_guard lock(out_->mutex);
    out_->messages.push_back(std::move(message));
  }
  out_->filled.notify_one();
}

bool LocalEndpoint::poll(FrameHandler& handler) {
  std::deque<Message> messages;
  {
    const std::lock_guard lock(in_->mutex);
    messages.swap(in_->messages);
  }
  for (Message& message : messages) {
    std::vector<std::uint64_t> sizes;
    for (const Attachment& attachment : message.attachments) sizes.push_back(attachment.size);
    Frame frame;
    frame.peer = peer_;
    frame.records = message.bytes.bytes().subspan(sizeof(FrameHeader));
    frame.attachment_sizes = sizes;
    frame.local = &message;
    handler.on_frame(frame);
    note_sent(message);
  }
  return !messages.empty();
}

std::unique_ptr<Transfer> LocalEndpoint::receive(const Frame& frame, const std::vector<Claims::Place>& places) {
  for (std::size_t i = 0; i < places.size(); ++i) std::memcpy(places[i].data, frame.local->attachments[i].data, places[i].size);
  return std::make_unique<Arrived>();
}

// There is nobody to wait for: who comes second finds what the first has left.
std::unique_ptr<Team> LocalEndpoint::assemble(std::uint64_t number, const std::vector<int>&) {
  const std::lock_guard lock(meetings_->mutex);
  std::shared_ptr<LocalTeam::Meeting>& left = meetings_->open[number];
  const bool first = left == nullptr;
  if (first) left = LocalTeam::meeting();
  auto team = std::make_unique<LocalTeam>(left, peer_ == 1 ? 0 : 1);
  if (!first) meetings_->open.erase(number);
  return team;
}

// A thread of this process can be told, so it need not look: it spins as others do, and then sleeps until the next message.
bool LocalEndpoint::doze(Idle& idle) {
  if (idle.pause().count() == 0) {
    std::this_thread::yield();
    return false;
  }
  std::unique_lock lock(in_->mutex);
  in_->filled.wait(lock, [this] { return !in_->messages.empty(); });
  return true;
}

}  // namespace rankview::transport
