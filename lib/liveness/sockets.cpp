// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "liveness/sockets.hpp"

#include "liveness/invitation.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

namespace rankview::liveness {
namespace {

sockaddr_in address(std::uint32_t host, std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = host;
  at.sin_port = port;
  return at;
}

void set(int socket, int level, int option, int value) {
  // Where the system does not know it, less is noticed.
  static_cast<void>(::setsockopt(socket, level, option, &value, sizeof(value)));
}

// An address of an interface.
struct Local {
  std::string name;
  std::uint32_t host = 0;
};

std::vector<Local> local_addresses() {
  std::vector<Local> all;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return all;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    if ((at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    all.push_back({at->ifa_name, reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr.s_addr});
  }
  return all;
}

// Whether an address is in a network that is written as 10.1.0.0/16.
bool in_network(std::uint32_t host, std::string_view network) {
  const std::size_t slash = network.find('/');
  if (slash == std::string_view::npos) return false;
  in_addr base{};
  unsigned bits = 0;
  if (::inet_pton(AF_INET, std::string(network.substr(0, slash)).c_str(), &base) != 1) return false;
  if (std::from_chars(network.data() + slash + 1, network.data() + network.size(), bits).ec != std::errc() || bits > 32) return false;
  const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
  return (ntohl(host) & mask) == (ntohl(base.s_addr) & mask);
}

// Whether Open MPI's list of interfaces, `eth0,10.1.0.0/16`, has that one.
bool listed(std::string_view list, const Local& local) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view each = list.substr(0, comma);
    if (each == local.name || in_network(local.host, each)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// The address that packets to a host leave by.
std::optional<std::uint32_t> address_towards(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const isolation::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Nothing is sent by that.
  if (!socket || ::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0) return std::nullopt;
  sockaddr_in own{};
  socklen_t size = sizeof(own);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return std::nullopt;
  return own.sin_addr.s_addr;
}

}  // namespace

isolation::Fd open_process(long pid) {
#ifdef SYS_pidfd_open
  return isolation::Fd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
#else
  static_cast<void>(pid);
  return {};
#endif
}

Listener listen_on(std::uint32_t host) {
  isolation::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in at = address(host, 0);
  socklen_t size = sizeof(at);
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), size) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return {};
  return {std::move(socket), at.sin_port};
}

isolation::Fd connect_to(std::uint32_t host, std::uint16_t port, std::chrono::milliseconds limit, int quit) {
  isolation::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return {};
  const sockaddr_in at = address(host, port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) {
    if (errno != EINPROGRESS) return {};
    std::array<pollfd, 2> watched{{{socket.get(), POLLOUT, 0}, {quit, POLLIN, 0}}};
    const int any = ::poll(watched.data(), watched.size(), static_cast<int>(limit.count()));
    int error = 0;
    socklen_t size = sizeof(error);
    if (any <= 0 || watched[1].revents != 0 || ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
      return {};
  }
  return socket;
}

void watch_host(int socket) {
  constexpr int limit = static_cast<int>(host_limit.count());
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, limit / 2);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, limit / 2);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, limit * 1000);
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

std::vector<std::uint32_t> job_addresses(const std::vector<std::string>& hosts) {
  std::vector<std::uint32_t> chosen;
  const auto add = [&chosen](std::uint32_t host) {
    if (std::find(chosen.begin(), chosen.end(), host) == chosen.end()) chosen.push_back(host);
  };
  const std::vector<Local> all = local_addresses();
  for (const char* variable : {"OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include"}) {
    const char* const list = std::getenv(variable);
    if (list == nullptr || !chosen.empty()) continue;
    for (const Local& local : all) {
      if (listed(list, local)) add(local.host);
    }
  }
  if (!chosen.empty()) return chosen;
  // The hosts of one job are reached by few interfaces.
  constexpr std::size_t enough = 16;
  for (std::size_t i = 0; i < std::min(enough, hosts.size()); ++i) {
    if (const auto own = address_towards(hosts[i])) add(*own);
  }
  // What leads to this host itself leads to no other.
  std::erase(chosen, htonl(INADDR_LOOPBACK));
  if (!chosen.empty()) return chosen;
  for (const Local& local : all) add(local.host);
  return chosen;
}

}  // namespace rankview::liveness
