// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "support.hpp"

#include "controller/call_life.hpp"
#include "transport/endpoint.hpp"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

// What tests of single rooms of the controller and the engine have in common.
namespace unit {

namespace transport = rankview::transport;

// A call that notes what is done with its results.
class TestCall : public rankview::detail::Call {
 public:
  explicit TestCall(bool without_user_code = true) : Call(without_user_code) {}

  void grow(std::uint64_t count, std::uint64_t) override { room_for = count; }
  void load(std::uint64_t item, rankview::detail::Reader&) override { loaded.push_back(item); }
  void discard() noexcept override { ++discarded; }
  void complete() override { ++completed; }

  std::uint64_t room_for = 0;
  std::vector<std::uint64_t> loaded;
  int discarded = 0;
  int completed = 0;
};

// An endpoint that keeps what is sent.
class TestEndpoint final : public transport::Endpoint {
 public:
  void send(int peer, transport::Message&& message) override { sent.emplace_back(peer, std::move(message)); }
  bool poll(transport::FrameHandler&) override { return false; }
  std::unique_ptr<transport::Transfer> receive(const transport::Frame&, const std::vector<transport::Claims::Place>&) override {
    return nullptr;
  }
  std::unique_ptr<transport::Team> assemble(std::uint64_t, const std::vector<int>&) override { return nullptr; }
  [[nodiscard]] bool flushed() const override { return true; }

  std::vector<std::pair<int, transport::Message>> sent;
};

// The records of a message.
inline std::span<const std::byte> records_of(const transport::Message& message) {
  return message.bytes.bytes().subspan(sizeof(transport::FrameHeader));
}

}  // namespace unit
