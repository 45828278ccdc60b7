// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/idle.hpp"
#include "transport/team.hpp"
#include "transport/transfer.hpp"

#include <rankview/detail/stream.hpp>

#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace rankview::transport {

using detail::Attachment;
using detail::Buffer;
using detail::Claims;
using detail::Writer;

// Goes before every message on the wire.
struct FrameHeader {
  std::uint64_t size = 0;  // of what follows: records, then the sizes of the attachments
  std::uint32_t tag = 0;   // of what travels separately
  std::uint32_t attachments = 0;
};

// A message under construction: a Writer with room for the header before its records.
class Message : public Writer {
 public:
  Message() { bytes.extend(sizeof(FrameHeader)); }
  explicit Message(Buffer recycled) {
    bytes = std::move(recycled);
    bytes.clear();
    bytes.extend(sizeof(FrameHeader));
  }
  [[nodiscard]] bool empty() const { return bytes.size() <= sizeof(FrameHeader); }
  [[nodiscard]] std::size_t size() const { return bytes.size() - sizeof(FrameHeader); }
};

// A message that has arrived. What it points to is valid while its handler runs, unless the handler takes it.
struct Frame {
  int peer = -1;
  std::span<const std::byte> records;
  std::span<const std::uint64_t> attachment_sizes;
  Buffer* owned = nullptr;  // holds `records`, and may be moved from

  // How to get at the attachments: by tag from another process, in place from this one.
  std::uint32_t tag = 0;
  Writer* local = nullptr;  // whoever keeps the frame moves from this too
};

class FrameHandler {
 public:
  // Must not throw.
  virtual void on_frame(Frame& frame) = 0;

 protected:
  ~FrameHandler() = default;
};

// One end of the connection between the controller and its engines. Peers are numbered by rank. Calls on one endpoint must not overlap, but
// for assemble(). None of them waits for a peer, but for that. Errors of MPI are thrown as MpiError.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  // Frames between two ends arrive in the order in which they were sent.
  virtual void send(int peer, Message&& message) = 0;

  // Receives what has arrived, a message or a few, and completes what was sent. Whether anything happened; then there may be more.
  virtual bool poll(FrameHandler& handler) = 0;

  // Receives the attachments of a frame into `places`, which are as many as there are attachments, or fewer: the rest is received and
  // dropped. Must be called once for each frame with attachments, while it is handled or, for a frame that was kept, later.
  virtual std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) = 0;

  // Makes a team of rank 0 and these engines, given as peers, in this order. All of them must call it, with the same `turn`, of those
  // teams that any two of them make at a time the only one; waits until they do. Turns of later teams are higher.
  virtual std::unique_ptr<Team> assemble(std::uint64_t turn, const std::vector<int>& engines) = 0;
  // The same for rank 0, which goes on meanwhile where MPI allows that: should one of the engines die just then, it is never done. The next
  // may begin when this is done or has been given up.
  virtual std::unique_ptr<Assembly> begin_assembly(std::uint64_t turn, const std::vector<int>& engines);

  // The peer has died: gives up what is on its way to it and from it, and takes in nothing of it any more. What belonged to messages to it
  // is kept, since MPI may still read it; transfers from it are not to be waited for. Nothing to do where peers cannot die.
  virtual void forget(int /*peer*/) {}

  // Whether everything that was sent has left.
  [[nodiscard]] virtual bool flushed() const = 0;

  // Nothing was there to poll: passes some time until there may be. Whether the caller slept.
  virtual bool doze(Idle& idle);

  // An empty message, from memory that was used before.
  virtual Message message() { return {}; }

  // What belonged to messages that have left, and may be the user's: for the caller to let go of where it holds no lock.
  [[nodiscard]] bool anything_sent() const { return !sent_.empty(); }
  std::vector<std::shared_ptr<const void>> take_sent() { return std::exchange(sent_, {}); }

 protected:
  // The message has left, or has been taken in.
  void note_sent(Message& message) {
    sent_.insert(sent_.end(), std::make_move_iterator(message.kept.begin()), std::make_move_iterator(message.kept.end()));
    message.kept.clear();
  }

 private:
  std::vector<std::shared_ptr<const void>> sent_;
};

inline std::unique_ptr<Assembly> Endpoint::begin_assembly(std::uint64_t turn, const std::vector<int>& engines) {
  class AtOnce final : public Assembly {
   public:
    explicit AtOnce(std::unique_ptr<Team> team) : team_(std::move(team)) {}
    bool done() override { return true; }
    std::unique_ptr<Team> take() override { return std::move(team_); }

   private:
    std::unique_ptr<Team> team_;
  };
  return std::make_unique<AtOnce>(assemble(turn, engines));
}

inline bool Endpoint::doze(Idle& idle) {
  const auto pause = idle.pause();
  if (pause.count() == 0) return false;
  nap(pause);
  return true;
}

}  // namespace rankview::transport
