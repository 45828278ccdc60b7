// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/task_server.hpp"

#include "transport/mpi.hpp"

#include <rankview/cluster.hpp>
#include <rankview/errors.hpp>

#include <unistd.h>
#include <memory>
#include <string>
#include <system_error>

namespace rankview::inline abi_0_1 {
namespace {

struct Owned {
  pid_t process = 0;
  std::unique_ptr<isolation::TaskServer> server;
};

// Never destroyed: it ends with the process, as seen from its side.
Owned& owned = *std::make_unique<Owned>().release();

}  // namespace

isolation::TaskServer* task_server() { return owned.process == ::getpid() ? owned.server.get() : nullptr; }

void drop_task_server() {
  if (task_server() != nullptr) owned.server.reset();
}

void prepare_isolation() {
  if (task_server() != nullptr) return;
  if (transport::mpi_running() || transport::mpi_finalised())
    throw UsageError("rv::prepare_isolation() behind MPI_Init: it comes before, so that the processes of isolated tasks have no MPI");
  try {
    owned.server = isolation::TaskServer::fork();
    owned.process = ::getpid();
  } catch (const std::system_error& error) {
    throw Error(std::string("the process that isolated tasks are started from cannot be made: ") + error.what());
  }
}

}  // namespace rankview
