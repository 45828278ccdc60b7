// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/under_way.hpp"

#include "engine/engine.hpp"
#include "transport/mpi.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <mutex>
#include <vector>

namespace rankview::inline abi_0_1 {
namespace {

// Never destroyed: after std::exit, a run that was left may still be here.
struct Registry {
  std::mutex mutex;
  std::vector<const UnderWay*> runs;
};
Registry& registry = *new Registry;

}  // namespace

UnderWay::UnderWay(MPI_Comm comm, int size) : comm_(comm), size_(size), thread_(std::this_thread::get_id()) {
  const std::lock_guard guard(registry.mutex);
  for (const UnderWay* const run : registry.runs) {
    if (run->comm_ == comm) throw UsageError("Cluster::run within a run of the same Cluster: use the Client that the outer one was given");
    if (run->holds_up(comm))
      throw UsageError("Cluster::run within a run of the same ranks, which serve that one and cannot come to this: use its Client");
  }
  registry.runs.push_back(this);
}

UnderWay::~UnderWay() {
  const std::lock_guard guard(registry.mutex);
  std::erase(registry.runs, this);
}

void UnderWay::check_outside(MPI_Comm comm) {
  const std::lock_guard guard(registry.mutex);
  if (std::any_of(registry.runs.begin(), registry.runs.end(), [comm](const UnderWay* run) { return run->holds_up(comm); }))
    throw UsageError(
        "a Cluster within a run of the same ranks, which serve that one and cannot come to this: make it before the run or after it, "
        "or use the run's Client");
}

bool UnderWay::any() {
  const std::lock_guard guard(registry.mutex);
  return !registry.runs.empty();
}

// Whether the calling thread, the client's or a task's, would wait in vain for the others of `comm`.
bool UnderWay::holds_up(MPI_Comm comm) const {
  if (size_ == 1 || (thread_ != std::this_thread::get_id() && engine::current() == nullptr)) return false;
  int same = MPI_UNEQUAL;
  transport::check(MPI_Comm_compare(comm_, comm, &same), "MPI_Comm_compare");
  return same != MPI_UNEQUAL;
}

}  // namespace rankview
