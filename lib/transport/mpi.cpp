// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/mpi.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

namespace rankview::transport {
namespace {

// The name MPI knows this host by may carry a domain, or be cut; the system's is what users know.
std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::uint64_t boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  // A kernel that does not tell: hosts with different names are taken for different.
  return std::hash<std::string>()(text.empty() ? host_name() : text);
}

}  // namespace

void throw_mpi_error(int code, const char* call) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  throw MpiError(std::string(call) + " failed: " + std::string(text.data(), static_cast<std::size_t>(length)));
}

Communicator Communicator::duplicate(MPI_Comm parent) {
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_dup(parent, &comm), "MPI_Comm_dup");
  Communicator made(comm);
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return made;
}

Communicator Communicator::among(MPI_Comm parent, const std::vector<int>& ranks, int tag) {
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_group(parent, &all), "MPI_Comm_group");
  check(MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some), "MPI_Group_incl");
  check(MPI_Comm_create_group(parent, some, tag, &comm), "MPI_Comm_create_group");
  Communicator made(comm);
  check(MPI_Group_free(&some), "MPI_Group_free");
  check(MPI_Group_free(&all), "MPI_Group_free");
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return made;
}

Communicator::Communicator(Communicator&& other) noexcept : comm_(std::exchange(other.comm_, MPI_COMM_NULL)) {}

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(comm_, other.comm_);
  return *this;
}

Communicator::~Communicator() {
  int finalised = 0;
  if (comm_ != MPI_COMM_NULL && MPI_Finalized(&finalised) == MPI_SUCCESS && finalised == 0) MPI_Comm_free(&comm_);
}

int Communicator::rank() const {
  int rank = 0;
  check(MPI_Comm_rank(comm_, &rank), "MPI_Comm_rank");
  return rank;
}

int Communicator::size() const {
  int size = 0;
  check(MPI_Comm_size(comm_, &size), "MPI_Comm_size");
  return size;
}

Identity identify(std::uint64_t executable, std::int64_t clock_anchor) {
  Identity own;
  own.executable = executable;
  own.clock_anchor = clock_anchor;
  own.boot = boot_id();
  own.pid = getpid();
  struct stat numbers = {};
  if (stat("/proc/self/ns/pid", &numbers) == 0) own.processes = numbers.st_ino;
  const std::string host = host_name();
  std::memcpy(own.host, host.data(), std::min(host.size(), sizeof(own.host) - 1));
  return own;
}

std::vector<Identity> exchange(const Communicator& comm, const Identity& own) {
  std::vector<Identity> all(static_cast<std::size_t>(comm.size()));
  check(MPI_Allgather(&own, sizeof(Identity), MPI_BYTE, all.data(), sizeof(Identity), MPI_BYTE, comm.get()), "MPI_Allgather");
  return all;
}

void broadcast(const Communicator& comm, void* bytes, std::size_t size) {
  check(MPI_Bcast(bytes, static_cast<int>(size), MPI_BYTE, 0, comm.get()), "MPI_Bcast");
}

bool mpi_running() {
  int initialised = 0;
  check(MPI_Initialized(&initialised), "MPI_Initialized");
  return initialised != 0 && !mpi_finalised();
}

bool mpi_finalised() {
  int finalised = 0;
  check(MPI_Finalized(&finalised), "MPI_Finalized");
  return finalised != 0;
}

void initialise(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
}

void finalise() { check(MPI_Finalize(), "MPI_Finalize"); }

ThreadLevel thread_level() {
  int level = MPI_THREAD_SINGLE;
  check(MPI_Query_thread(&level), "MPI_Query_thread");
  switch (level) {
    case MPI_THREAD_MULTIPLE:
      return ThreadLevel::multiple;
    case MPI_THREAD_SERIALIZED:
      return ThreadLevel::serialized;
    case MPI_THREAD_FUNNELED:
      return ThreadLevel::funneled;
    default:
      return ThreadLevel::single;
  }
}

const char* to_string(ThreadLevel level) {
  switch (level) {
    case ThreadLevel::single:
      return "MPI_THREAD_SINGLE";
    case ThreadLevel::funneled:
      return "MPI_THREAD_FUNNELED";
    case ThreadLevel::serialized:
      return "MPI_THREAD_SERIALIZED";
    case ThreadLevel::multiple:
      return "MPI_THREAD_MULTIPLE";
  }
  return "an unknown thread level";
}

bool is_main_thread() {
  int main = 0;
  check(MPI_Is_thread_main(&main), "MPI_Is_thread_main");
  return main != 0;
}

}  // namespace rankview::transport
