// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace rankview::liveness {

// Where rank 0 waits for the side connections of the others, and what they say to be let in. Travels by MPI, as bytes.
struct Invitation {
  static constexpr std::size_t most_addresses = 8;

  std::array<std::uint64_t, 2> token{};
  std::uint32_t count = 0;                            // addresses
  std::array<std::uint32_t, most_addresses> hosts{};  // IPv4, in network order
  std::array<std::uint16_t, most_addresses> ports{};  // likewise
};

// What goes over a side connection, in either direction. Small enough to be written at once, also by who is about to crash.
struct Note {
  enum Kind : std::uint32_t { hello = 0x72760001, beat, crash, exit, bye };
  std::uint32_t kind = beat;
  std::int32_t value = 0;  // hello: the rank. crash: the signal. exit: the status
  // hello: the token. crash: the task that ran.
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// A side connection says something so often.
inline constexpr std::chrono::milliseconds beat_period{500};
// A host that has not acknowledged what was sent to it for so long is gone. A process that is stopped does not come to that, since its
// host answers.
inline constexpr std::chrono::seconds host_limit{10};

}  // namespace rankview::liveness
