// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/errors.hpp>

#include <mpi.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rankview::transport {

// MPI counts in int; longer data goes in pieces of so many bytes.
inline constexpr std::size_t piece_bytes = std::size_t{1} << 30U;

[[noreturn]] void throw_mpi_error(int code, const char* call);

// The one way to call MPI: `check(MPI_Barrier(comm), "MPI_Barrier")`.
inline void check(int code, const char* call) {
  if (code != MPI_SUCCESS) throw_mpi_error(code, call);
}

// A communicator of its own, whose errors are returned; freed unless MPI is over.
class Communicator {
 public:
  // Collective over `parent`.
  static Communicator duplicate(MPI_Comm parent);
  // Of these ranks of `parent`, in this order; collective over them alone, which use the same tag.
  static Communicator among(MPI_Comm parent, const std::vector<int>& ranks, int tag);
  Communicator() = default;
  Communicator(Communicator&& other) noexcept;
  Communicator& operator=(Communicator&& other) noexcept;
  ~Communicator();

  [[nodiscard]] MPI_Comm get() const { return comm_; }
  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;

 private:
  explicit Communicator(MPI_Comm comm) : comm_(comm) {}

  MPI_Comm comm_ = MPI_COMM_NULL;
};

// Who a rank is; what all ranks tell each other at the start.
struct Identity {
  std::uint64_t executable = 0;
  std::int64_t clock_anchor = 0;
  std::uint64_t boot = 0;  // equal for processes under one kernel, whose steady clocks agree
  std::int64_t pid = 0;
  std::uint64_t processes = 0;  // equal for those whose numbers of processes mean the same, see pid_namespaces(7)
  std::uint64_t slots = 1;      // of its engine
  char host[64] = {};
};

// This process.
Identity identify(std::uint64_t executable, std::int64_t clock_anchor);

// Collective: the identities of all ranks, in rank order.
std::vector<Identity> exchange(const Communicator& comm, const Identity& own);

// Collective: rank 0's bytes, everywhere.
void broadcast(const Communicator& comm, void* bytes, std::size_t size);

enum class ThreadLevel { single, funneled, serialized, multiple };

[[nodiscard]] bool mpi_running();
[[nodiscard]] bool mpi_finalised();
// Initialises MPI with threads.
void initialise(int& argc, char**& argv);
void finalise();
[[nodiscard]] ThreadLevel thread_level();
[[nodiscard]] const char* to_string(ThreadLevel level);
// Whether the calling thread is the one that initialised MPI.
[[nodiscard]] bool is_main_thread();

}  // namespace rankview::transport
