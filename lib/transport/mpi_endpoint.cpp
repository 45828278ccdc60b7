// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/mpi_endpoint.hpp"

#include "liveness/quiet_thread.hpp"
#include "transport/mpi_team.hpp"

#include <rankview/detail/caught.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <utility>

namespace rankview::transport {
namespace {

constexpr int packet_tag = 0;
constexpr std::uint32_t first_body_tag = 1;
// Larger buffers go back to the system.
constexpr std::size_t largest_recycled = 256 * 1024;

template <class Call>
void in_pieces(std::size_t size, Call call) {
  for (std::size_t done = 0; done < size; done += piece_bytes) call(done, static_cast<int>(std::min(piece_bytes, size - done)));
}

void isend(const std::byte* data, std::size_t size, int peer, std::uint32_t tag, MPI_Comm comm, std::vector<MPI_Request>& requests) {
  in_pieces(size, [&](std::size_t at, int count) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(data + at, count, MPI_BYTE, peer, static_cast<int>(tag), comm, &request), "MPI_Isend");
    requests.push_back(request);
  });
}

void irecv(std::byte* data, std::size_t size, int peer, std::uint32_t tag, MPI_Comm comm, std::vector<MPI_Request>& requests) {
  in_pieces(size, [&](std::size_t at, int count) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Irecv(data + at, count, MPI_BYTE, peer, static_cast<int>(tag), comm, &request), "MPI_Irecv");
    requests.push_back(request);
  });
}

bool test_all(std::vector<MPI_Request>& requests) {
  int done = 1;
  if (!requests.empty()) check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
  return done != 0;
}

// Gives requests up: receives are cancelled, sends are left to MPI.
void give_up(std::vector<MPI_Request>& requests, bool receives) {
  for (MPI_Request& request : requests) {
    if (request == MPI_REQUEST_NULL) continue;
    if (receives) MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

class MpiTransfer final : public Transfer {
 public:
  MpiTransfer() = default;
  MpiTransfer(const MpiTransfer&) = delete;
  MpiTransfer& operator=(const MpiTransfer&) = delete;
  ~MpiTransfer() override { give_up(requests, true); }

  bool done() override { return test_all(requests); }

  std::vector<MPI_Request> requests;
  std::vector<Buffer> unwanted;
};

// A team that a thread of its own makes, which is in MPI for ever if one of the team dies meanwhile.
class InThread final : public Assembly {
 public:
  explicit InThread(std::function<std::unique_ptr<Team>()> make) {
    liveness::quiet_thread([state = state_, make = std::move(make)] {
      try {
        state->team = make();
      } catch (...) {
        state->error = detail::caught();
      }
      state->done.store(true, std::memory_order_release);
    }).detach();
  }

  bool done() override {
    if (!state_->done.load(std::memory_order_acquire)) return false;
    if (state_->error) std::rethrow_exception(state_->error);
    return true;
  }
  std::unique_ptr<Team> take() override { return std::move(state_->team); }

 private:
  struct State {
    std::atomic<bool> done{false};
    std::unique_ptr<Team> team;
    std::exception_ptr error;
  };

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace

MpiEndpoint::MpiEndpoint(MPI_Comm comm, const Communicator& teams) : comm_(comm), teams_(teams), next_tag_(first_body_tag) {
  void* limit = nullptr;
  int found = 0;
  check(MPI_Comm_get_attr(comm_, MPI_TAG_UB, &limit, &found), "MPI_Comm_get_attr");
  if (found != 0) highest_tag_ = static_cast<std::uint32_t>(*static_cast<int*>(limit));
  for (std::size_t i = 0; i < slot_count; ++i) {
    check(MPI_Recv_init(slots_[i].data(), static_cast<int>(slot_bytes), MPI_BYTE, MPI_ANY_SOURCE, packet_tag, comm_, &slot_requests_[i]),
          "MPI_Recv_init");
    check(MPI_Start(&slot_requests_[i]), "MPI_Start");
  }
}

MpiEndpoint::~MpiEndpoint() {
  for (MPI_Request& request : slot_requests_) {
    MPI_Cancel(&request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Request_free(&request);
  }
  for (Sending& sending : sending_) give_up(sending.requests, false);
  for (Arriving& arriving : arriving_) give_up(arriving.requests, true);
}

std::uint32_t MpiEndpoint::take_tags(std::size_t count) {
  // By the time tags come round again, their first users are long done.
  if (count > highest_tag_ - next_tag_) next_tag_ = first_body_tag;
  const std::uint32_t tag = next_tag_;
  next_tag_ += static_cast<std::uint32_t>(count);
  return tag;
}

Message MpiEndpoint::message() {
  if (free_buffers_.empty()) return {};
  Message message(std::move(free_buffers_.back()));
  free_buffers_.pop_back();
  return message;
}

void MpiEndpoint::recycle(Buffer&& buffer) {
  if (buffer.capacity() <= largest_recycled && free_buffers_.size() < 64) free_buffers_.push_back(std::move(buffer));
}

void MpiEndpoint::send(int peer, Message&& message) {
  for (const Attachment& attachment : message.attachments) message.value(static_cast<std::uint64_t>(attachment.size));
  FrameHeader header;
  header.size = message.size();
  header.attachments = static_cast<std::uint32_t>(message.attachments.size());
  if (forgotten(peer)) return note_sent(message);
  const bool whole = message.bytes.size() <= slot_bytes;
  if (!whole || header.attachments != 0) header.tag = take_tags(1 + message.attachments.size());
  std::memcpy(message.bytes.data(), &header, sizeof(header));

  MPI_Request request = MPI_REQUEST_NULL;
  const std::size_t packet = whole ? message.bytes.size() : sizeof(header);
  check(MPI_Isend(message.bytes.data(), static_cast<int>(packet), MPI_BYTE, peer, packet_tag, comm_, &request), "MPI_Isend");
  if (whole && header.attachments == 0) {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done != 0) {
      recycle(std::move(message.bytes));
      return;
    }
  }
  Sending sending;
  sending.peer = peer;
  sending.requests.push_back(request);
  sending.message = std::move(message);
  Message& sent = sending.message;
  if (!whole) isend(sent.bytes.data() + sizeof(header), sent.size(), peer, header.tag, comm_, sending.requests);
  for (std::size_t i = 0; i < sent.attachments.size(); ++i)
    isend(sent.attachments[i].data, sent.attachments[i].size, peer, header.tag + 1 + static_cast<std::uint32_t>(i), comm_,
          sending.requests);
  sending_.push_back(std::move(sending));
}

bool MpiEndpoint::poll(FrameHandler& handler) {
  bool any = poll_slot(handler);
  if (!arriving_.empty()) any = poll_arriving(handler) || any;
  if (!sending_.empty()) any = poll_sending() || any;
  return any;
}

// One message at most: looking for a second one costs more than taking it, and whoever got the first wants to get on. For the same reason
// its slot is posted again only by the next look.
bool MpiEndpoint::poll_slot(FrameHandler& handler) {
  if (std::exchange(slot_taken_, false)) check(MPI_Start(&slot_requests_[(slot_ + slot_count - 1) % slot_count]), "MPI_Start");
  int done = 0;
  MPI_Status status;
  check(MPI_Test(&slot_requests_[slot_], &done, &status), "MPI_Test");
  if (done == 0) return false;
  int count = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
  const std::span<const std::byte> packet(slots_[slot_].data(), static_cast<std::size_t>(count));
  slot_ = (slot_ + 1) % slot_count;
  slot_taken_ = true;
  on_packet(handler, status.MPI_SOURCE, packet);
  return true;
}

void MpiEndpoint::on_packet(FrameHandler& handler, int peer, std::span<const std::byte> packet) {
  if (forgotten(peer)) return;
  if (packet.size() < sizeof(FrameHeader))
    throw DecodeError("a message of " + std::to_string(packet.size()) + " bytes from rank " + std::to_string(peer));
  FrameHeader header;
  std::memcpy(&header, packet.data(), sizeof(header));
  const auto body = packet.subspan(sizeof(header));
  const bool whole = body.size() == header.size;
  const bool waits = !whole || std::any_of(arriving_.begin(), arriving_.end(), [peer](const Arriving& a) { return a.peer == peer; });
  if (!waits) {
    deliver(handler, peer, header, body, nullptr);
    return;
  }
  Arriving arriving{peer, header, {}, {}};
  arriving.body.reserve(header.size);
  std::byte* const to = arriving.body.extend(header.size);
  if (whole) {
    std::memcpy(to, body.data(), body.size());
  } else {
    irecv(to, header.size, peer, header.tag, comm_, arriving.requests);
  }
  arriving_.push_back(std::move(arriving));
}

bool MpiEndpoint::poll_arriving(FrameHandler& handler) {
  bool any = false;
  std::vector<int> blocked;  // peers that an earlier frame of theirs holds up
  for (std::size_t i = 0; i < arriving_.size();) {
    Arriving& first = arriving_[i];
    if (std::find(blocked.begin(), blocked.end(), first.peer) == blocked.end() && test_all(first.requests)) {
      Arriving arrived = std::move(first);
      arriving_.erase(arriving_.begin() + static_cast<std::ptrdiff_t>(i));
      deliver(handler, arrived.peer, arrived.header, arrived.body.bytes(), &arrived.body);
      recycle(std::move(arrived.body));
      any = true;
    } else {
      blocked.push_back(first.peer);
      ++i;
    }
  }
  return any;
}

void MpiEndpoint::deliver(FrameHandler& handler, int peer, const FrameHeader& header, std::span<const std::byte> body, Buffer* owned) {
  const std::size_t sizes_bytes = header.attachments * sizeof(std::uint64_t);
  if (sizes_bytes > body.size())
    throw DecodeError("a message from rank " + std::to_string(peer) + " announces more attachments than it has bytes");
  std::vector<std::uint64_t> sizes(header.attachments);
  if (sizes_bytes != 0) std::memcpy(sizes.data(), body.data() + body.size() - sizes_bytes, sizes_bytes);
  Frame frame;
  frame.peer = peer;
  frame.records = body.first(body.size() - sizes_bytes);
  frame.attachment_sizes = sizes;
  frame.owned = owned;
  frame.tag = header.tag;
  handler.on_frame(frame);
}

void MpiEndpoint::forget(int peer) {
  if (forgotten(peer)) return;
  forgotten_.push_back(peer);
  const auto move_out = [peer](auto& from, auto& to, bool receives) {
    for (auto& each : from) {
      if (each.peer != peer) continue;
      give_up(each.requests, receives);
      each.requests.clear();
      to.push_back(std::move(each));
    }
    std::erase_if(from, [peer](const auto& each) { return each.peer == peer; });
  };
  move_out(sending_, never_sent_, false);
  move_out(arriving_, never_arrived_, true);
}

bool MpiEndpoint::poll_sending() {
  bool any = false;
  // Those that a peer holds up move to the back.
  for (std::size_t i = 0, most = std::min<std::size_t>(4, sending_.size()); i < most; ++i) {
    Sending first = std::move(sending_.front());
    sending_.pop_front();
    if (test_all(first.requests)) {
      note_sent(first.message);
      recycle(std::move(first.message.bytes));
      any = true;
    } else {
      sending_.push_back(std::move(first));
    }
  }
  return any;
}

std::unique_ptr<Team> MpiEndpoint::assemble(std::uint64_t turn, const std::vector<int>& engines) {
  // Of those that a process makes, Open MPI goes on with the one that has the lowest tag alone. So later ones have lower tags: one that was
  // given up keeps none from being made.
  const std::uint32_t tags = std::min(highest_tag_, std::uint32_t{1} << 20U);
  return std::make_unique<MpiTeam>(teams_, engines, static_cast<int>(tags - turn % tags));
}

std::unique_ptr<Assembly> MpiEndpoint::begin_assembly(std::uint64_t turn, const std::vector<int>& engines) {
  if (thread_level() != ThreadLevel::multiple) return Endpoint::begin_assembly(turn, engines);
  return std::make_unique<InThread>([this, turn, engines] { return assemble(turn, engines); });
}

std::unique_ptr<Transfer> MpiEndpoint::receive(const Frame& frame, const std::vector<Claims::Place>& places) {
  auto transfer = std::make_unique<MpiTransfer>();
  for (std::size_t i = 0; i < frame.attachment_sizes.size(); ++i) {
    const std::uint32_t tag = frame.tag + 1 + static_cast<std::uint32_t>(i);
    const std::size_t size = frame.attachment_sizes[i];
    if (i < places.size()) {
      irecv(places[i].data, size, frame.peer, tag, comm_, transfer->requests);
      continue;
    }
    Buffer& sink = transfer->unwanted.emplace_back();
    irecv(sink.extend(size), size, frame.peer, tag, comm_, transfer->requests);
  }
  return transfer;
}

}  // namespace rankview::transport
