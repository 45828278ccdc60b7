// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "liveness/side_line.hpp"

#include "liveness/quiet_thread.hpp"
#include "liveness/sockets.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

namespace rankview::liveness {
namespace {

// The connections of this process, one for each cluster that it is in, for who has no time to ask: their descriptors and 1, or 0 for none.
// Of more clusters than these some hear only that the process has ended.
std::array<std::atomic<int>, 8> lines{};

void replace(int before, int after) {
  for (auto& line : lines) {
    int there = before + 1;
    if (line.compare_exchange_strong(there, after + 1)) return;
  }
}

void tell(int socket, const Note& note) {
  // Nothing can be done about it if that fails.
  [[maybe_unused]] const auto sent = ::send(socket, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void tell_all(const Note& note) {
  for (const auto& line : lines) {
    if (const int socket = line - 1; socket >= 0) tell(socket, note);
  }
}

// A child would keep the connections open behind this process's end.
void close_in_child() {
  for (auto& line : lines) {
    if (const int socket = line.exchange(0) - 1; socket >= 0) ::close(socket);
  }
}

}  // namespace

void tell_crash(int signal, const TaskId& task) { tell_all({Note::crash, signal, task.call, task.item}); }

void tell_exit(int status) { tell_all({Note::exit, status, 0, 0}); }

SideLine::SideLine(const Invitation& invitation, int rank, long rank0, std::function<void(const std::string&)> rank0_gone)
    : invitation_(invitation),
      rank_(rank),
      rank0_gone_(std::move(rank0_gone)),
      rank0_(rank0 == 0 ? isolation::Fd() : open_process(rank0)),
      rank0_over_(rank0 != 0 && !rank0_ && errno == ESRCH),
      quit_(::eventfd(0, EFD_CLOEXEC)) {
  static const int registered = pthread_atfork(nullptr, nullptr, &close_in_child);
  static_cast<void>(registered);
  // At once where that cannot take long.
  if (rank0_) connect();
  thread_ = quiet_thread([this] { run(); });
}

SideLine::~SideLine() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(quit_.get(), &one, sizeof(one));
  thread_.join();
}

// Whether it is connected.
bool SideLine::connect() {
  for (std::uint32_t i = 0; i < invitation_.count; ++i) {
    isolation::Fd socket = connect_to(invitation_.hosts[i], invitation_.ports[i], std::chrono::milliseconds(2000), quit_.get());
    if (!socket) continue;
    const Note hello{Note::hello, rank_, invitation_.token[0], invitation_.token[1]};
    if (::send(socket.get(), &hello, sizeof(hello), MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof(hello))) continue;
    watch_host(socket.get());
    socket_ = std::move(socket);
    replace(-1, socket_.get());
    return true;
  }
  return false;
}

void SideLine::run() {
  if (rank0_over_) {
    rank0_gone_("its process has ended");
    return;
  }
  if (!socket_) connect();
  std::array<pollfd, 3> watched{{{quit_.get(), POLLIN, 0}, {rank0_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
  for (;;) {
    const int any = ::poll(watched.data(), watched.size(), static_cast<int>(beat_period.count()));
    if (watched[0].revents != 0) break;
    if (any > 0 && watched[2].revents != 0 && !listen_to_rank0()) {
      // Not known to rank 0, or not needed any more; its process, if it is near, is watched on.
      watched[2].fd = -1;
      if (welcome_) return;
    }
    if (any > 0 && watched[1].revents != 0) {
      rank0_gone_("its process has ended");
      return;
    }
    if (socket_) tell(socket_.get(), {});
  }
  if (!socket_) return;
  replace(socket_.get(), -1);
  tell(socket_.get(), {Note::bye, 0, 0, 0});
}

// Rank 0 says that it knows of this, and later good-bye. Before and behind these the end of the connection means nothing. Whether to go on.
bool SideLine::listen_to_rank0() {
  Note note;
  const ssize_t got = ::recv(socket_.get(), &note, sizeof(note), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  const int error = errno;
  const bool whole = got == static_cast<ssize_t>(sizeof(note));
  if (whole && note.kind == Note::hello) {
    welcome_ = true;
    return true;
  }
  replace(socket_.get(), -1);
  socket_.reset();
  if (!(whole && note.kind == Note::bye) && welcome_)
    rank0_gone_(got < 0 && error == ETIMEDOUT ? "its host does not answer" : "its connection was closed");
  return false;
}

}  // namespace rankview::liveness
