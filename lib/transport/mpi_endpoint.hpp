// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/endpoint.hpp"
#include "transport/mpi.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

namespace rankview::transport {

// The connection over MPI. Short frames go eagerly into receives that are posted once and for all, which on shared memory takes two thirds
// of the time of a probe and a receive. A longer frame announces itself there and sends its body, like every attachment, under a
// tag of its own.
class MpiEndpoint final : public Endpoint {
 public:
  // Uses a communicator that nobody else sends on, and another, of the same ranks, to make teams of.
  MpiEndpoint(MPI_Comm comm, const Communicator& teams);
  MpiEndpoint(const MpiEndpoint&) = delete;
  MpiEndpoint& operator=(const MpiEndpoint&) = delete;
  // Gives up whatever is still on its way.
  ~MpiEndpoint() override;

  void send(int peer, Message&& message) override;
  bool poll(FrameHandler& handler) override;
  std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) override;
  std::unique_ptr<Team> assemble(std::uint64_t turn, const std::vector<int>& engines) override;
  std::unique_ptr<Assembly> begin_assembly(std::uint64_t turn, const std::vector<int>& engines) override;
  void forget(int peer) override;
  [[nodiscard]] bool flushed() const override { return sending_.empty(); }
  Message message() override;

 private:
  // Fits the smallest eager limit of Open MPI's transports (shared memory, 4,096 bytes with its own header), so that a receive that has
  // matched is a receive that is done.
  static constexpr std::size_t slot_bytes = 4000;
  static constexpr std::size_t slot_count = 16;

  struct Sending {
    int peer = -1;
    std::vector<MPI_Request> requests;
    Message message;
  };

  // A frame whose body is on its way, or that must wait behind such a one.
  struct Arriving {
    int peer;
    FrameHeader header;
    Buffer body;
    std::vector<MPI_Request> requests;
  };

  [[nodiscard]] bool forgotten(int peer) const {
    return !forgotten_.empty() && std::find(forgotten_.begin(), forgotten_.end(), peer) != forgotten_.end();
  }
  bool poll_slot(FrameHandler& handler);
  bool poll_arriving(FrameHandler& handler);
  bool poll_sending();
  void on_packet(FrameHandler& handler, int peer, std::span<const std::byte> packet);
  void deliver(FrameHandler& handler, int peer, const FrameHeader& header, std::span<const std::byte> body, Buffer* owned);
  void recycle(Buffer&& buffer);
  std::uint32_t take_tags(std::size_t count);

  MPI_Comm comm_;
  const Communicator& teams_;
  std::uint32_t highest_tag_ = 32767;
  std::uint32_t next_tag_;
  std::array<std::array<std::byte, slot_bytes>, slot_count> slots_;
  std::array<MPI_Request, slot_count> slot_requests_;
  std::size_t slot_ = 0;     // the next to complete: messages match receives in the order in which those were posted
  bool slot_taken_ = false;  // the one before it is to be posted again
  std::deque<Sending> sending_;
  std::deque<Arriving> arriving_;
  std::vector<Buffer> free_buffers_;
  std::vector<int> forgotten_;  // peers
  // What was on its way to them and from them: MPI may still look at it.
  std::vector<Sending> never_sent_;
  std::vector<Arriving> never_arrived_;
};

}  // namespace rankview::transport
