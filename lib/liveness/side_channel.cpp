// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "liveness/side_channel.hpp"

#include "liveness/quiet_thread.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

namespace rankview::liveness {
namespace {

// What an event is about: its kind above, a number below.
enum : std::uint64_t { quit_event, listener_event, stranger_event, process_event, socket_event };
constexpr std::uint64_t event(std::uint64_t kind, std::uint64_t number) { return kind << 32U | number; }

// So many may be about to say who they are, for so long.
constexpr std::size_t most_strangers = 128;
constexpr std::chrono::seconds stranger_limit{5};
constexpr std::chrono::milliseconds longest_wait{100};
// Who has not looked for so long was stopped itself, and knows nothing of the others.
constexpr std::chrono::milliseconds own_gap{1000};
// At the end the others have so long to say good-bye.
constexpr std::chrono::milliseconds farewell{1000};

// A connection to each of the others takes a descriptor, and so does each process.
void allow_descriptors(std::size_t more) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const rlim_t wanted = limit.rlim_cur + more;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min(wanted, limit.rlim_max);
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

// The next note, if all of it is there. `gone`: nothing comes any more.
std::optional<Note> read_note(int socket, std::vector<std::byte>& unread, bool& gone) {
  Note note;
  std::array<std::byte, sizeof(Note)> bytes{};
  const ssize_t got = ::recv(socket, bytes.data(), bytes.size() - unread.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  gone = got <= 0;
  if (gone) return std::nullopt;
  unread.insert(unread.end(), bytes.begin(), bytes.begin() + got);
  if (unread.size() < sizeof(note)) return std::nullopt;
  std::memcpy(&note, unread.data(), sizeof(note));
  unread.clear();
  return note;
}

std::string name_of(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return "signal " + std::to_string(signal) + (name == nullptr ? "" : std::string(" (SIG") + name + ")");
}

}  // namespace

SideChannel::SideChannel(Signs& signs, const std::vector<Peer>& peers, std::chrono::milliseconds silence)
    : signs_(signs), silence_(silence), events_(::epoll_create1(EPOLL_CLOEXEC)), quit_(::eventfd(0, EFD_CLOEXEC)) {
  allow_descriptors(2 * peers.size() + 2 * Invitation::most_addresses);
  std::vector<std::string> far;
  bool any_near = false;
  for (const Peer& peer : peers) {
    if (peer.pid != 0) {
      any_near = true;
    } else if (std::find(far.begin(), far.end(), peer.host) == far.end()) {
      far.push_back(peer.host);
    }
  }
  if (::getrandom(invitation_.token.data(), sizeof(invitation_.token), 0) != static_cast<ssize_t>(sizeof(invitation_.token))) return;
  std::vector<std::uint32_t> hosts;
  if (any_near) hosts.push_back(htonl(INADDR_LOOPBACK));
  if (!far.empty()) {
    for (const std::uint32_t host : job_addresses(far)) hosts.push_back(host);
  }
  watch(quit_.get(), event(quit_event, 0));
  for (const std::uint32_t host : hosts) {
    if (invitation_.count == Invitation::most_addresses) break;
    Listener listener = listen_on(host);
    if (!listener.socket) continue;
    invitation_.hosts[invitation_.count] = host;
    invitation_.ports[invitation_.count++] = listener.port;
    watch(listener.socket.get(), event(listener_event, listeners_.size()));
    listeners_.push_back(std::move(listener));
  }
  for (const Peer& peer : peers) {
    Known& known = peers_[peer.rank];
    if (peer.pid == 0) continue;
    known.process = open_process(peer.pid);
    if (known.process) watch(known.process.get(), event(process_event, static_cast<std::uint64_t>(peer.rank)));
  }
  last_look_ = std::chrono::steady_clock::now();
  thread_ = quiet_thread([this] { run(); });
}

SideChannel::~SideChannel() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(quit_.get(), &one, sizeof(one));
  thread_.join();
}

void SideChannel::watch(int fd, std::uint64_t what) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = what;
  static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &wanted));
}

void SideChannel::run() {
  while (!quitting_) wait_for_events(std::chrono::steady_clock::now());
  // Who gets this knows that the end of the connection means nothing.
  const Note bye{Note::bye, 0, 0, 0};
  for (auto& [rank, peer] : peers_) {
    if (!peer.socket) continue;
    [[maybe_unused]] const auto sent = ::send(peer.socket.get(), &bye, sizeof(bye), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(peer.socket.get(), SHUT_WR);
  }
  const auto limit = std::chrono::steady_clock::now() + farewell;
  const auto all_gone = [this] {
    return std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) { return !peer.second.socket || peer.second.silent; });
  };
  while (!all_gone() && std::chrono::steady_clock::now() < limit) wait_for_events(std::chrono::steady_clock::now());
}

void SideChannel::wait_for_events(Time now) {
  std::array<epoll_event, 64> happened{};
  const int count = ::epoll_wait(events_.get(), happened.data(), static_cast<int>(happened.size()), static_cast<int>(longest_wait.count()));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t what = happened[static_cast<std::size_t>(i)].data.u64;
    const auto number = static_cast<std::uint32_t>(what);
    switch (what >> 32U) {
      case quit_event:
        quitting_ = true;
        static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, quit_.get(), nullptr));
        break;
      case listener_event:
        accept_from(number);
        break;
      case stranger_event:
        hear_stranger(static_cast<int>(number));
        break;
      case process_event:
        // What it has told before comes first.
        if (!peers_.at(static_cast<int>(number)).socket) hear_all_strangers();
        read_from(static_cast<int>(number));
        ended(static_cast<int>(number), "its process has ended");
        break;
      default:
        read_from(static_cast<int>(number));
    }
  }
  drop_old_strangers(now);
  check_silence(now);
}

// ---- who connects ------------------------------------------------------------------------------------------------------------

// Whether anybody was there.
bool SideChannel::accept_from(std::size_t listener) {
  isolation::Fd socket(::accept4(listeners_[listener].socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // Those that come in such numbers are none of ours, which would come once each.
  if (!socket || strangers_.size() >= most_strangers + peers_.size()) return false;
  const int fd = socket.get();
  watch(fd, event(stranger_event, static_cast<std::uint64_t>(fd)));
  strangers_[fd] = {std::move(socket), {}, std::chrono::steady_clock::now()};
  return true;
}

// Somebody may have come, and ended at once.
void SideChannel::hear_all_strangers() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    while (accept_from(i)) continue;
  }
  std::vector<int> fds;
  for (const auto& [fd, stranger] : strangers_) fds.push_back(fd);
  for (const int fd : fds) hear_stranger(fd);
}

void SideChannel::hear_stranger(int fd) {
  const auto found = strangers_.find(fd);
  if (found == strangers_.end()) return;
  bool gone = false;
  const auto note = read_note(fd, found->second.unread, gone);
  if (!note && !gone) return;
  const auto peer = note ? peers_.find(note->value) : peers_.end();
  const bool known = note && note->kind == Note::hello && note->first == invitation_.token[0] && note->second == invitation_.token[1] &&
                     peer != peers_.end() && !peer->second.socket && !peer->second.over;
  static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, fd, nullptr));
  if (known) {
    peer->second.socket = std::move(found->second.socket);
    peer->second.heard = std::chrono::steady_clock::now();
    watch_host(fd);
    const Note welcome{Note::hello, 0, 0, 0};
    [[maybe_unused]] const auto sent = ::send(fd, &welcome, sizeof(welcome), MSG_NOSIGNAL | MSG_DONTWAIT);
    watch(fd, event(socket_event, static_cast<std::uint64_t>(peer->first)));
  }
  strangers_.erase(found);
}

void SideChannel::drop_old_strangers(Time now) {
  std::erase_if(strangers_, [now](const auto& stranger) { return now - stranger.second.since > stranger_limit; });
}

// ---- who is known ------------------------------------------------------------------------------------------------------------

void SideChannel::read_from(int rank) {
  Known& peer = peers_.at(rank);
  bool gone = false;
  while (peer.socket) {
    const auto note = read_note(peer.socket.get(), peer.unread, gone);
    if (!note) break;
    on_note(rank, peer, *note);
  }
  if (gone) ended(rank, errno == ETIMEDOUT || errno == EHOSTUNREACH ? "its host does not answer" : "its connection was closed");
}

void SideChannel::on_note(int rank, Known& peer, const Note& note) {
  peer.heard = std::chrono::steady_clock::now();
  if (peer.silent && note.kind != Note::bye) {
    peer.silent = false;
    signs_.add({Sign::Kind::answers, rank, "it answers again"});
  }
  switch (note.kind) {
    case Note::crash:
      peer.last.signal = note.value;
      peer.last.task = {note.first, note.second};
      peer.last.seen = name_of(note.value);
      break;
    case Note::exit:
      peer.last.seen = "it left by exit(" + std::to_string(note.value) + ")";
      break;
    case Note::bye:
      peer.over = true;
      peer.socket.reset();
      break;
    default:
      break;
  }
}

void SideChannel::ended(int rank, const std::string& seen) {
  Known& peer = peers_.at(rank);
  peer.socket.reset();
  if (peer.process) static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, peer.process.get(), nullptr));
  peer.process.reset();
  if (std::exchange(peer.over, true)) return;
  Sign sign = std::exchange(peer.last, {});
  sign.peer = rank;
  if (sign.seen.empty()) sign.seen = seen;
  signs_.add(std::move(sign));
}

void SideChannel::check_silence(Time now) {
  const bool was_stopped = now - std::exchange(last_look_, now) > own_gap;
  for (auto& [rank, peer] : peers_) {
    if (peer.over || !peer.socket) continue;
    if (was_stopped) peer.heard = now;
    if (peer.silent || now - peer.heard < silence_) continue;
    peer.silent = true;
    signs_.add({Sign::Kind::silent, rank,
                "it has given no sign of life for " +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now - peer.heard).count()) + " ms"});
  }
}

}  // namespace rankview::liveness
