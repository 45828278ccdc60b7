// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/losses.hpp"
#include "transport/endpoint.hpp"
#include "wire/messages.hpp"

#include <rankview/metadata.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rankview::controller {

// Who an engine is.
struct EngineInfo {
  int peer = 0;  // at the controller's endpoint
  int rank = 0;  // in the cluster's communicator
  std::string host;
  long pid = 0;
  std::uint64_t machine = 0;  // which it is on
  std::uint16_t slots = 1;    // so much isolated work it runs side by side
};

// What has become of the tasks that an engine ran last, in this run, and what it told of its variables.
struct Account {
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  wire::Memory memory;

  void count(Status ended) { ++(ended == Status::completed ? completed : failed); }
};

// The engines of a run: who they are, what goes to each of them next, and what is known of them. They are numbered from 0; peers are the
// endpoint's names for them, which nobody else needs to know.
//
// Records for an engine are collected in one message, so that what a round of the controller decides travels together.
class Engines {
 public:
  Engines(transport::Endpoint& endpoint, std::vector<EngineInfo> roster);
  Engines(const Engines&) = delete;
  Engines& operator=(const Engines&) = delete;
  ~Engines() = default;

  [[nodiscard]] int count() const { return static_cast<int>(all_.size()); }
  [[nodiscard]] const EngineInfo& operator[](int engine) const { return at(engine).info; }
  // The engine that a peer is. Throws DecodeError if it is none.
  [[nodiscard]] int by_peer(int peer) const;

  // The engine has died: what is written to it from here on goes nowhere. False if that was known.
  bool lose(int engine);
  [[nodiscard]] bool lost(int engine) const { return at(engine).state == State::lost; }
  // The engine does not answer, or does again: it may still be told things, which it will hear when it goes on.
  void set_aside(int engine) { at(engine).state = State::aside; }
  void take_back(int engine) { at(engine).state = State::live; }
  [[nodiscard]] bool live(int engine) const { return at(engine).state == State::live; }
  // Those that live, in ascending order.
  [[nodiscard]] std::vector<int> live() const;

  // The message that the next send() takes to the engine, to write records to.
  transport::Message& to(int engine);
  void send(int engine);
  [[nodiscard]] bool anything_to_send() const { return !to_send_.empty(); }
  void send_all() {
    for (; !to_send_.empty(); to_send_.pop_back()) send(to_send_.back());
  }

  // Those that have died or do not answer.
  [[nodiscard]] Losses& losses() { return losses_; }
  [[nodiscard]] const Losses& losses() const { return losses_; }
  [[nodiscard]] transport::Endpoint& endpoint() { return endpoint_; }

  [[nodiscard]] Account& account(int engine) { return at(engine).account; }
  [[nodiscard]] const Account& account(int engine) const { return at(engine).account; }

  // The engine has said that it is done with this run.
  void left(int engine);
  [[nodiscard]] bool has_left(int engine) const { return at(engine).left; }
  // Whether all have, or will not any more.
  [[nodiscard]] bool all_left() const { return left_ == all_.size(); }

 private:
  enum class State : std::uint8_t { live, aside, lost };

  struct Engine {
    EngineInfo info;
    std::optional<transport::Message> outgoing;
    Account account;
    State state = State::live;
    bool left = false;
  };

  Engine& at(int engine) { return all_[static_cast<std::size_t>(engine)]; }
  [[nodiscard]] const Engine& at(int engine) const { return all_[static_cast<std::size_t>(engine)]; }

  transport::Endpoint& endpoint_;
  std::vector<Engine> all_;
  std::vector<int> by_peer_;  // -1 where a peer is no engine
  std::vector<int> to_send_;  // engines that something was written to, and perhaps some to which it was sent already
  std::size_t left_ = 0;
  Losses losses_{*this};
  transport::Message nowhere_;  // what is written to engines that have died
};

}  // namespace rankview::controller
