// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "isolation/fd.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace rankview::liveness {

// Becomes readable when the process has ended. None if it has already, or the system does not know of such.
isolation::Fd open_process(long pid);

// Waits for connections to that IPv4 address of this host, at a port that the system chooses. None if it cannot.
struct Listener {
  isolation::Fd socket{};
  std::uint16_t port = 0;  // in network order
};
Listener listen_on(std::uint32_t host);
// A connection to that address; none if there is none within the limit, or `quit` became readable.
isolation::Fd connect_to(std::uint32_t host, std::uint16_t port, std::chrono::milliseconds limit, int quit);
// From here on the connection fails when the other host does not answer, see host_limit.
void watch_host(int socket);

// IPv4 addresses of this host that the job uses to speak with those hosts, in network order: of the interfaces that Open MPI was told to
// use, else those that lead to the hosts, else all but the loopback.
std::vector<std::uint32_t> job_addresses(const std::vector<std::string>& hosts);

}  // namespace rankview::liveness
