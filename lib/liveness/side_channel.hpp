// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"
#include "liveness/invitation.hpp"
#include "liveness/signs.hpp"
#include "liveness/sockets.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace rankview::liveness {

// Rank 0's side of what tells it that the others live: a connection to each, which the kernel closes when its process ends, processes of
// this machine, and how long ago each has said something. A thread of its own waits for all of these.
//
// Whoever connects and does not know the token is turned away. Where no connection comes about, only what happens on this machine is
// noticed.
class SideChannel {
 public:
  // One of the others.
  struct Peer {
    int rank = 0;
    std::string host;
    long pid = 0;  // where it is on this machine, else 0
  };

  // `silence`: who says nothing for longer is taken to be stopped or out of reach.
  SideChannel(Signs& signs, const std::vector<Peer>& peers, std::chrono::milliseconds silence);
  SideChannel(const SideChannel&) = delete;
  SideChannel& operator=(const SideChannel&) = delete;
  // Says good-bye, and gives the others a little time to do so.
  ~SideChannel();

  // For the others, to be let in.
  [[nodiscard]] const Invitation& invitation() const { return invitation_; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  // What is known of a peer.
  struct Known {
    isolation::Fd process;
    isolation::Fd socket;
    std::vector<std::byte> unread;  // of its next note
    Time heard{};
    bool silent = false;
    bool over = false;  // it has died, or said good-bye
    Sign last{};        // what it has told of its end
  };
  // Who has connected, and not said yet who it is.
  struct Stranger {
    isolation::Fd socket;
    std::vector<std::byte> unread;
    Time since{};
  };

  void run();
  void wait_for_events(Time now);
  void watch(int fd, std::uint64_t what);
  bool accept_from(std::size_t listener);
  void hear_all_strangers();
  void hear_stranger(int fd);
  void drop_old_strangers(Time now);
  void read_from(int rank);
  void on_note(int rank, Known& peer, const Note& note);
  void ended(int rank, const std::string& seen);
  void check_silence(Time now);

  Signs& signs_;
  const std::chrono::milliseconds silence_;
  Invitation invitation_;
  std::vector<Listener> listeners_;
  isolation::Fd events_;  // epoll
  isolation::Fd quit_;
  std::map<int, Known> peers_;         // by rank
  std::map<int, Stranger> strangers_;  // by file descriptor
  Time last_look_{};
  bool quitting_ = false;
  std::thread thread_;
};

}  // namespace rankview::liveness
