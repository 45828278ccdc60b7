// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rankview::isolation {

// Where a process was that has crashed: which function had called which, the innermost first. Passed on as bytes to whoever has the time to
// find out what the places are called.
struct Trace {
  static constexpr std::size_t most = 64;
  static constexpr std::uint32_t no_file = ~std::uint32_t{0};

  struct Call {
    std::uint64_t address = 0;
    std::uint64_t from_start = 0;  // of the file, as it lies in memory
    std::uint64_t byte = 0;        // of the file
    std::uint32_t path = no_file;  // where it begins in `paths`
  };

  std::uint64_t count = 0;
  std::array<Call, most> calls{};
  std::array<char, 3000> paths{};  // each with a 0 behind it

  // Of the code that a call is in, nothing where no file has it.
  [[nodiscard]] std::string_view path_of(const Call& call) const;
};

// Loads what the handlers need, which must not happen in them.
void prime_traces();

// For a signal handler: finds out which files the addresses, as from backtrace(), are in.
void locate(std::span<void* const> addresses, Trace& trace) noexcept;

// For a signal handler, while it asks for a backtrace: should the crash have happened under a lock that this needs, the process ends
// instead of waiting for ever.
class BacktraceLimit {
 public:
  BacktraceLimit() noexcept;
  BacktraceLimit(const BacktraceLimit&) = delete;
  BacktraceLimit& operator=(const BacktraceLimit&) = delete;
  ~BacktraceLimit();

 private:
  struct sigaction before_ {};
};

// A line for each call, with the line before ended: its name, and where that is in the source, as far as these can be found out. May take
// some seconds the first time.
std::string trace_text(const Trace& trace);

}  // namespace rankview::isolation
