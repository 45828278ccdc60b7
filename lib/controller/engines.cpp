// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/engines.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace rankview::controller {

Engines::Engines(transport::Endpoint& endpoint, std::vector<EngineInfo> roster) : endpoint_(endpoint), all_(roster.size()) {
  for (std::size_t i = 0; i < roster.size(); ++i) {
    const auto peer = static_cast<std::size_t>(roster[i].peer);
    if (by_peer_.size() <= peer) by_peer_.resize(peer + 1, -1);
    by_peer_[peer] = static_cast<int>(i);
    all_[i].info = std::move(roster[i]);
  }
}

int Engines::by_peer(int peer) const {
  const auto index = static_cast<std::size_t>(peer);
  if (peer < 0 || index >= by_peer_.size() || by_peer_[index] < 0)
    throw DecodeError("a message from rank " + std::to_string(peer) + ", which is no engine of this run");
  return by_peer_[index];
}

bool Engines::lose(int engine) {
  Engine& gone = at(engine);
  if (std::exchange(gone.state, State::lost) == State::lost) return false;
  gone.outgoing.reset();
  if (!std::exchange(gone.left, true)) ++left_;
  return true;
}

std::vector<int> Engines::live() const {
  std::vector<int> ids;
  for (int id = 0; id < count(); ++id) {
    if (live(id)) ids.push_back(id);
  }
  return ids;
}

transport::Message& Engines::to(int engine) {
  if (lost(engine)) {
    nowhere_ = transport::Message();
    return nowhere_;
  }
  auto& message = at(engine).outgoing;
  if (!message) {
    message = endpoint_.message();
    to_send_.push_back(engine);
  }
  return *message;
}

void Engines::send(int engine) {
  auto& message = at(engine).outgoing;
  if (!message) return;
  endpoint_.send(at(engine).info.peer, std::move(*message));
  message.reset();
}

void Engines::left(int engine) {
  if (std::exchange(at(engine).left, true)) throw DecodeError("engine " + std::to_string(engine) + " said goodbye twice");
  ++left_;
}

}  // namespace rankview::controller
