// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "transport/endpoint.hpp"
#include "transport/local_team.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

namespace rankview::transport {

// The connection between the controller and an engine that is a thread of the same process.
class LocalEndpoint final : public Endpoint {
 public:
  // Two ends of one connection: the controller's, rank 0, and the engine's, which calls itself rank 1.
  static std::pair<std::unique_ptr<LocalEndpoint>, std::unique_ptr<LocalEndpoint>> pair();

  void send(int peer, Message&& message) override;
  bool poll(FrameHandler& handler) override;
  std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) override;
  std::unique_ptr<Team> assemble(std::uint64_t number, const std::vector<int>& engines) override;
  [[nodiscard]] bool flushed() const override { return true; }

  bool doze(Idle& idle) override;

 private:
  struct Pipe {
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<Message> messages;
  };

  // Teams that one end has and the other will have.
  struct Meetings {
    std::mutex mutex;
    std::map<std::uint64_t, std::shared_ptr<LocalTeam::Meeting>> open;
  };

  LocalEndpoint(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::shared_ptr<Meetings> meetings, int peer)
      : in_(std::move(in)), out_(std::move(out)), meetings_(std::move(meetings)), peer_(peer) {}

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  std::shared_ptr<Meetings> meetings_;
  int peer_;
};

}  // namespace rankview::transport
